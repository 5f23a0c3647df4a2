"""Job types that wait in every way, for the tests of durable functions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import BaseModel, JsonValue

from jobs.context import JobContext
from jobs.errors import TimedOut
from jobs.registry import JobType


class Wish(BaseModel):
    """What a test handler shall do."""

    do: str = ""
    seconds: float = 0.0
    texts: list[str] = []


def _type(name: str, **options: Any) -> JobType:
    fields: dict[str, Any] = {"queue": "system", "payload": Wish, "result": JsonValue, "handler": f"{__name__}:{name}"}
    return JobType(name=f"durable_{name}", **fields | options)


NAP = _type("nap")
RECEIVER = _type("receiver")


def nap(ctx: JobContext, wish: Wish) -> JsonValue:
    before = ctx.step("before", _said, "before")
    ctx.sleep("nap", timedelta(seconds=wish.seconds))
    return [before, ctx.step("after", _said, "after")]


def _said(text: str) -> str:
    return text


def receiver(ctx: JobContext, wish: Wish) -> JsonValue:
    try:
        return {"got": ctx.receive("news", timeout=timedelta(seconds=wish.seconds) if wish.seconds else None)}
    except TimedOut as error:
        return {"late": error.code}
