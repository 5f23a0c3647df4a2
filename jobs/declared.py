"""A workflow's declared steps, as one run of its handler comes to them: told of, and confirmed where that is asked."""

from __future__ import annotations

import time
from math import isfinite
from typing import TYPE_CHECKING, Any

from django.conf import settings
from pydantic import BaseModel

from jobs.errors import HandlerMisuse, TimedOut
from jobs.models_steps import StepKind
from jobs.operations import confirmations, workflow_steps
from jobs.operations.leases import CancelRequested
from jobs.results import Ruling, drafted
from jobs.workflows import Automation, By, Confirm, Fallback, Step

if TYPE_CHECKING:
    from jobs.context import JobContext

SAID = {
    "accept": "accepted",
    "modify": "edited and accepted",
    "reject": "refused",
    "take_over": "written by hand",
}
LATE = "nobody confirmed it in time"
OTHERWISE = "nobody confirmed it, but other things were said"


class Declined(BaseException):
    """A person said no to a step before it ran. Not an ``Exception``, so that no handler swallows it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DeclaredSteps:
    """For any other job there are none, and it costs nothing. ``current`` is the one that is being done."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._workflow = context.job.workflow
        self.current = ""
        self._told: tuple[str, float, str] = ("", 0.0, "")
        self._told_at = float("-inf")

    def begin(self, name: str) -> None:
        """The durable step of this name is about to run; if it is declared, tell so and have it confirmed."""
        step = self._workflow.step(name) if self._workflow else None
        if step is None:
            return
        self._begin(step)
        if self._is_confirmed_first(step):
            ruling = self._ask(step, {"text": step.title}, 1)
            if ruling.decision == "reject":
                raise Declined(ruling.reason or "the step was not confirmed")

    def passed(self, name: str) -> None:
        """The durable step of this name was done before, and so was what confirmed it."""
        if self._workflow is not None and self._workflow.step(name) is not None:
            self._context._memory.pass_over(confirmations.wait_name(name, 1), f"{name}.1")

    def confirm(self, name: str, draft: BaseModel, version: int) -> Ruling:
        """See ``JobContext.confirm``."""
        step = self._workflow.step(name) if self._workflow else None
        if step is None:
            raise HandlerMisuse(f"ctx.confirm({name!r}): no workflow declares a step of this name")
        stored_as = f"{name}.{version}.confirmed"
        if not self._context._memory.has(stored_as):
            self._begin(step)
        ruling = self._ask(step, drafted(draft), version)
        return ruling if ruling.regenerate else self._settled(step, stored_as, ruling)

    def _settled(self, step: Step, stored_as: str, ruling: Ruling) -> Ruling:
        """What was ruled, stored as the step's end; of the first run that came so far."""
        ctx = self._context
        if done := ctx._begin(stored_as, StepKind.DECIDE):
            return Ruling.model_validate(done.result)
        with ctx.guard.lifted():
            confirmations.settle(
                ctx.job_id,
                ctx.token,
                step=step.name,
                name=stored_as,
                ruling=ruling.model_dump(mode="json"),
                message=SAID[ruling.decision],
            )
        return ruling

    def tell_progress(self, progress: dict[str, Any]) -> bool:
        """Tell how far the current step is, if the handler says so in ``percent``.

        ``False`` if that has to wait: it was told less than ``step_progress_seconds`` ago, or somebody else writes
        there just now.
        """
        percent = progress.get("percent")
        if not self.current or not isinstance(percent, int | float) or not isfinite(percent):
            return True
        news = (self.current, min(max(float(percent), 0.0), 100.0), str(progress.get("message", "")))
        if news == self._told:
            return True
        if time.monotonic() < self._told_at + settings.CONFIG.step_progress_seconds:
            return False
        self._told_at = time.monotonic()
        name, share, message = news
        done = workflow_steps.progress(
            self._context.job_id, self._context.token, name=name, percent=share, message=message
        )
        self._told = news if done else self._told
        return done

    def _begin(self, step: Step) -> None:
        with self._context.guard.lifted():
            workflow_steps.begin(self._context.job_id, self._context.token, name=step.name)
        self.current = step.name

    @property
    def _automation(self) -> Automation:
        assert self._workflow is not None
        return Automation(self._context.job.payload.get("automation") or self._workflow.automation)

    def _is_confirmed_first(self, step: Step) -> bool:
        return self._automation == Automation.MANUAL or (
            self._automation == Automation.SEMI and step.confirm is not None
        )

    def _ask(self, step: Step, draft: dict[str, Any], version: int) -> Ruling:
        if self._automation == Automation.FULL:
            return _accepted(draft, version, by="")
        terms = step.confirm or Confirm()
        if terms.by == By.CARD:
            return self._decide(step, draft, version)
        said = self._word(step, terms, draft, version)
        if said.get("confirmed"):
            return _accepted(draft, version, by=said["by"])
        return self._fall_back(step, terms, draft, version, said.get("why", OTHERWISE))

    def _word(self, step: Step, terms: Confirm, draft: dict[str, Any], version: int) -> dict[str, Any]:
        ctx, name = self._context, confirmations.wait_name(step.name, version)
        if not ctx._memory.has(name):
            with ctx.guard.lifted():
                confirmations.ask(ctx.job_id, ctx.token, step=step.name, version=version, terms=terms, draft=draft)
        try:
            said: dict[str, Any] = ctx.receive(name, timeout=confirmations.timeout(terms))
        except TimedOut:
            return {"confirmed": False, "why": LATE}
        return said

    def _fall_back(self, step: Step, terms: Confirm, draft: dict[str, Any], version: int, why: str) -> Ruling:
        ctx = self._context
        if not ctx.replaying:
            with ctx.guard.lifted():
                confirmations.fall_back(
                    ctx.job_id, ctx.token, step=step.name, version=version, why=why, then=terms.fallback.value
                )
        match terms.fallback:
            case Fallback.GO_ON:
                return _accepted(draft, version, by="", reason=why)
            case Fallback.CANCEL:
                raise CancelRequested
        return self._decide(step, draft, version)

    def _decide(self, step: Step, draft: dict[str, Any], version: int) -> Ruling:
        return self._context.decide(step.name, _Draft.model_validate(draft), version=version)


class _Draft(BaseModel, extra="allow"):
    """What is to be confirmed, whatever it is, as a card shows it."""

    text: str = ""


def _accepted(draft: dict[str, Any], version: int, *, by: str, reason: str = "") -> Ruling:
    return Ruling(
        decision="accept",
        version=version,
        text=str(draft.get("text", "")),
        changes=draft.get("changes", []),
        by=by,
        reason=reason,
    )
