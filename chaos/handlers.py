"""What the jobs do: one effect each, exactly once, with everything that may go wrong around it."""

from __future__ import annotations

import asyncio
import os

from pydantic import JsonValue

from chaos.jobtypes import ALONE, PART, Tale
from jobs.context import JobContext
from jobs.errors import ChildFailed, PermanentError
from jobs.models_steps import JobLog
from jobs.registry import Call

EFFECT = "effect"
PARTS = 3


def tale(ctx: JobContext, asked: Tale) -> JsonValue:
    """``number``, once its effect is in the record."""
    ctx.step("thought", _double, asked.number)
    if asked.fate in ("slow", "long"):
        ctx.io("network", _network, asked.seconds)
    if asked.fate == "hopeless":
        raise PermanentError("hopeless", "nothing would help")
    ctx.commit("effect", _effect, ctx)
    if asked.fate == "failing" and ctx.attempt == 1:
        raise RuntimeError("the first attempt fails after its effect")
    match asked.fate:
        case "child":
            ctx.call("part", PART, number=asked.number, fate="plain")
        case "gathering" | "family_called_off":
            parts = [Call(PART, number=asked.number, fate="plain", seconds=asked.seconds) for _ in range(PARTS)]
            if any(isinstance(outcome, ChildFailed) for outcome in ctx.gather("parts", *parts)):
                raise PermanentError("part_lost", "a part has failed, and none should")
        case "alone":
            ctx.call("alone", ALONE, number=asked.number, fate="plain", seconds=asked.seconds)
        case "sleeping":
            ctx.sleep("nap", asked.seconds)
    return asked.number


def part(ctx: JobContext, asked: Tale) -> JsonValue:
    """A child's share of the work."""
    if asked.seconds:
        ctx.io("network", _network, asked.seconds)
    return ctx.commit("effect", _effect, ctx)


def alone(ctx: JobContext, asked: Tale) -> JsonValue:
    """The same in a process of its own, which says which one it is."""
    ctx.log(process(os.getpid()))
    return part(ctx, asked)


def process(pid: int) -> str:
    """What a job's own process says of itself."""
    return f"process {pid}"


def _double(number: int) -> int:
    return number * 2


def _effect(ctx: JobContext) -> None:
    JobLog.objects.create(job_id=ctx.job_id, attempt=ctx.attempt, text=EFFECT)


async def _network(seconds: float, *, idempotency_key: str) -> str:
    await asyncio.sleep(seconds)
    return idempotency_key
