"""A handler's way through its steps on one claim, and the rules that it has to keep on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import connection

from jobs.errors import HandlerMisuse, PermanentError, StepMismatch
from jobs.guard import WriteGuard
from jobs.memory import Memory
from jobs.models import Job
from jobs.models_steps import JobStep, StepKind
from jobs.operations.leases import CancelRequested, LeaseLost


class Course:
    """Whoever breaks a rule fails by it, whatever he makes of the exception: the first one is remembered.

    ``lost``: the claim is over. ``called_off``: the job was. ``suspended``: the step that the job waits for, if it
    does. ``misuse``: the first rule that was broken.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.job_id = job.pk
        self.token = job.token
        self.guard = WriteGuard(self._misused)
        self.lost = False
        self.called_off = False
        self.suspended = ""
        self.misuse: PermanentError | None = None
        self._memory = Memory(job)
        self._failed = ""

    @property
    def replaying(self) -> bool:
        """Whether steps of an earlier claim are still being read back."""
        return self._memory.replaying

    def finish(self) -> None:
        """The handler has returned. Raises the rule it broke, ``StepMismatch`` if it left out what it did before."""
        if self.suspended:
            raise self._swallowed()
        if self.misuse is not None:
            raise self.misuse
        self._memory.finish()

    def _recall(self, names: Sequence[str], kind: StepKind) -> list[JobStep | None]:
        if self.called_off:
            raise CancelRequested
        if self.suspended:
            self._swallowed()
        if self.lost or self.suspended:
            raise LeaseLost(f"the handler went on after job {self.job_id} was no longer its own")
        if self.misuse is not None:
            raise self.misuse
        with self._rules():
            if self._failed:
                raise HandlerMisuse(
                    f"the handler went on with {names[0]!r} after {self._failed!r} had failed: let the exception pass, "
                    "or catch it in the step and return what the handler needs to know"
                )
            if connection.in_atomic_block:
                raise HandlerMisuse(
                    f"{names[0]!r} is asked for inside a transaction: call the context outside of atomic"
                )
            return self._memory.recall(names, kind)

    def _go_live(self, name: str, kind: StepKind) -> None:
        """The step is to be done now, for the first time in this attempt."""
        with self._rules():
            self._memory.go_live(name, kind)

    @contextmanager
    def _rules(self) -> Iterator[None]:
        try:
            yield
        except (HandlerMisuse, StepMismatch) as misuse:
            raise self._misused(misuse) from None

    def _swallowed(self) -> PermanentError:
        rule = "let BaseException pass, catch Exception at most"
        return self._misused(HandlerMisuse(f"the handler swallowed the suspension of {self.suspended!r}: {rule}"))

    def _misused(self, misuse: PermanentError) -> PermanentError:
        self.misuse = self.misuse or misuse
        return misuse

    @contextmanager
    def _live(self, name: str) -> Iterator[None]:
        """The step's own work. A failure is not kept, so nothing may be built on it."""
        try:
            yield
        except Exception:
            self._failed = name
            raise
