"""What a storyteller answers: a narration and the changes of state that it proposes. Nobody has approved it."""

from __future__ import annotations

import json

from django.conf import settings
from pydantic import BaseModel, ConfigDict, NonNegativeInt

from generation.errors import GenerationError
from jobs.changes import Change, State, clean, fitting, parse_changes, value_at
from jobs.state_schema import Schema, keeping


class Usage(BaseModel):
    """Tokens, as the provider counted them."""

    model_config = ConfigDict(frozen=True)

    prompt_tokens: NonNegativeInt
    completion_tokens: NonNegativeInt


class Draft(BaseModel):
    """An answer fit to be shown to whoever decides.

    ``changes`` can be applied to the state of the prompt as they stand, keep it to its schema, and carry its values as
    ``was``. ``notes`` say what was left out of the answer and why. ``finish`` is the provider's reason for ending.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    changes: list[Change] = []
    notes: list[str] = []
    model: str
    finish: str
    usage: Usage | None = None


def write_draft(
    *,
    text: str,
    proposed: object,
    state: State,
    schema: Schema | None = None,
    model: str,
    notes: list[str] | None = None,
    finish: str = "stop",
    usage: Usage | None = None,
) -> Draft:
    """A draft of what a provider wrote. ``proposed`` is its changes as parsed JSON of any shape.

    ``GenerationError``: ``empty_answer`` without a text, ``too_long`` for what a job's result can't hold.
    """
    told = clean(text).strip()
    if not told:
        raise GenerationError("empty_answer", "The model answered without a narration.")
    changes, left_out = _proposals(proposed, state, schema or {})
    draft = Draft(
        text=told, changes=changes, notes=[*(notes or []), *left_out], model=model, finish=finish, usage=usage
    )
    if len(json.dumps(draft.model_dump(mode="json"))) > settings.CONFIG.payload_bytes:
        raise GenerationError("too_long", f"The draft is over {settings.CONFIG.payload_bytes} bytes as JSON.")
    return draft


def _proposals(proposed: object, state: State, schema: Schema) -> tuple[list[Change], list[str]]:
    """A model's own claim of what was there before is not taken: the prompt's state says it."""
    parsed, malformed = parse_changes(proposed)
    seen = [change.model_copy(update={"was": value_at(state, change.path)}) for change in parsed]
    fit, misfits = fitting(seen, state)
    kept, breaking = keeping(fit, state, schema) if schema else (fit, [])
    return kept, malformed + misfits + breaking
