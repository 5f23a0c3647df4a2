"""What someone says about a draft, checked before anything is locked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from pydantic import TypeAdapter, ValidationError

from approvals.drafts import Candidate, difference, with_claims
from approvals.states import Decision
from jobs.changes import UNCLEAN, Change, Changes
from jobs.errors import Invalid

_CHANGES: TypeAdapter[list[Change]] = TypeAdapter(Changes)
WRITTEN = frozenset({Decision.MODIFY, Decision.TAKE_OVER})


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A decision with what holds by it."""

    decision: Decision
    text: str = ""
    changes: list[Change] = field(default_factory=list)
    reason: str = ""
    regenerate: bool = False
    diff: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Said:
    """What was said, as it came in. ``None`` for what was left out."""

    decision: str
    text: str | None = None
    changes: Sequence[Change | dict[str, Any]] | None = None
    reason: str = ""
    regenerate: bool = False


def judge(said: Said, draft: Candidate) -> Verdict:
    """The verdict on this draft; ``Invalid`` names every field that is wrong and why."""
    mistakes: dict[str, str] = {}
    reason = _text(said.reason, "reason", settings.CONFIG.action_characters, mistakes)
    changes = _changes(said.changes, mistakes)
    if said.decision not in Decision.values:
        mistakes["decision"] = f"use one of {', '.join(Decision.values)}"
        raise _invalid(mistakes)
    decision = Decision(said.decision)
    text = _text(said.text or "", "text", settings.CONFIG.llm_characters, mistakes)
    _check_fields(decision, said, text=text, reason=reason, mistakes=mistakes)
    if mistakes:
        raise _invalid(mistakes)
    return _verdict(decision, draft, text=text, changes=changes, reason=reason, regenerate=said.regenerate)


def _check_fields(decision: Decision, said: Said, *, text: str, reason: str, mistakes: dict[str, str]) -> None:
    if decision in WRITTEN and not text:
        mistakes.setdefault("text", "is needed: what the players will read")
    if decision not in WRITTEN:
        for name, given in (("text", said.text), ("changes", said.changes)):
            if given:
                mistakes.setdefault(name, f"goes with {Decision.MODIFY} and {Decision.TAKE_OVER} only")
    if said.regenerate and decision != Decision.REJECT:
        mistakes["regenerate"] = f"goes with {Decision.REJECT} only"
    if decision == Decision.REJECT and not said.regenerate and not reason:
        mistakes.setdefault("reason", "is needed: what the player will be told")


def _verdict(
    decision: Decision,
    draft: Candidate,
    *,
    text: str,
    changes: list[Change] | None,
    reason: str,
    regenerate: bool,
) -> Verdict:
    match decision:
        case Decision.REJECT:
            return Verdict(decision=decision, reason=reason, regenerate=regenerate)
        case Decision.ACCEPT:
            return Verdict(decision=decision, text=draft.text, changes=draft.changes, reason=reason)
        case Decision.MODIFY:
            kept = draft.changes if changes is None else with_claims(changes, draft)
            diff = difference(draft, text, kept)
            return Verdict(decision=decision, text=text, changes=kept, reason=reason, diff=diff)
    own = with_claims(changes or [], draft)
    return Verdict(decision=decision, text=text, changes=own, reason=reason)


def _text(raw: str, name: str, limit: int, mistakes: dict[str, str]) -> str:
    text = raw.replace("\r\n", "\n").strip()
    if len(text) > limit:
        mistakes[name] = f"is longer than {limit} characters"
    elif UNCLEAN.search(text):
        mistakes[name] = "has control characters"
    return text


def _changes(raw: Sequence[Change | dict[str, Any]] | None, mistakes: dict[str, str]) -> list[Change] | None:
    if raw is None:
        return None
    try:
        return _CHANGES.validate_python(list(raw))
    except ValidationError as error:
        for mistake in error.errors():
            path = ".".join(map(str, ("changes", *mistake["loc"])))
            mistakes[path] = mistake["msg"].removeprefix("Value error, ")
        return None


def _invalid(mistakes: dict[str, str]) -> Invalid:
    detail = "; ".join(f"{path} {reason}" for path, reason in mistakes.items())
    return Invalid(detail, fields=mistakes)
