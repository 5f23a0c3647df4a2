"""What the jobs do: one effect each, exactly once, with everything that may go wrong around it."""

from __future__ import annotations

import asyncio

from pydantic import JsonValue

from chaos.jobtypes import PART, Tale
from jobs.context import JobContext
from jobs.errors import PermanentError
from jobs.models import JobLog

EFFECT = "effect"


def tale(ctx: JobContext, asked: Tale) -> JsonValue:
    """``number``, once its effect is in the record."""
    ctx.step("thought", _double, asked.number)
    if asked.seconds:
        ctx.io("network", _network, asked.seconds)
    if asked.fate == "hopeless":
        raise PermanentError("hopeless", "nothing would help")
    ctx.commit("effect", _effect, ctx)
    if asked.fate == "failing" and ctx.attempt == 1:
        raise RuntimeError("the first attempt fails after its effect")
    if asked.fate == "child":
        ctx.call("part", PART, number=asked.number, fate="plain")
    return asked.number


def part(ctx: JobContext, asked: Tale) -> JsonValue:
    """A child's share of the work."""
    return ctx.commit("effect", _effect, ctx)


def _double(number: int) -> int:
    return number * 2


def _effect(ctx: JobContext) -> None:
    JobLog.objects.create(job_id=ctx.job_id, attempt=ctx.attempt, text=EFFECT)


async def _network(seconds: float, *, idempotency_key: str) -> str:
    await asyncio.sleep(seconds)
    return idempotency_key
