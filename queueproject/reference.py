"""The page about settings: ``python -m queueproject.reference > docs/settings.md``."""

import sys
from collections.abc import Iterator
from typing import Any, cast, get_args, get_origin

from annotated_types import Ge, Gt, Le, MinLen
from pydantic.fields import FieldInfo

from queueproject.env import Config

INTRODUCTION = """\
# Settings

Every setting comes from the environment, is read once when a process starts, and has a default. A wrong value stops
the start with one line for each wrong setting: its name, what was given and what is allowed. Empty counts as not
given. Durations are in seconds and may be fractions.

Without `DEBUG=1` the demo's secret key, `DEMO=1` and `ALLOWED_HOSTS=*` are refused, and cookies need HTTPS.
`make run` sets `DEBUG=1`, `DEMO=1` and `SHUTDOWN_SECONDS=3` unless they are given. All processes of one site must be
given the same settings.

This page is made from the code by `python -m queueproject.reference > docs/settings.md`.

| Setting | Default | Allowed | Meaning |
|---|---|---|---|
"""

KINDS: dict[type, str] = {
    bool: "`1`, `0`, `true`, `false`",
    int: "a whole number",
    float: "a number",
    str: "text",
}


def page() -> str:
    """The whole page, as Markdown."""
    return INTRODUCTION + "".join(f"{row}\n" for row in _rows())


def _rows() -> Iterator[str]:
    for name, field in Config.model_fields.items():
        yield f"| `{name.upper()}` | {_default(field)} | {_allowed(field)} | {field.description} |"


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if isinstance(value, bool):
        value = int(value)
    if isinstance(value, tuple):
        value = ",".join(value)
    return f"`{value}`" if value != "" else "empty"


def _allowed(field: FieldInfo) -> str:
    if get_origin(field.annotation) is dict:
        return "a JSON object"
    if choices := get_args(field.annotation):
        return ", ".join(f"`{choice}`" for choice in choices) if isinstance(choices[0], str) else "a list"
    kind = KINDS[cast(type, field.annotation)]
    return f"{kind}{''.join(_bounds(field))}"


def _bounds(field: FieldInfo) -> Iterator[str]:
    for bound in field.metadata:
        match bound:
            case Gt(gt=value):
                yield f" over {value}"
            case Ge(ge=value):
                yield f" from {value}"
            case Le(le=value):
                yield f" up to {value}"
            case MinLen(min_length=value):
                yield f", at least {value} characters"


if __name__ == "__main__":
    sys.stdout.write(page())
