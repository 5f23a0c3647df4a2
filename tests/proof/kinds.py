"""A job with every kind of step, and one effect."""

from __future__ import annotations

from pydantic import BaseModel, JsonValue

from jobs.context import JobContext
from jobs.models_steps import JobLog
from jobs.registry import JobType


class Plan(BaseModel):
    text: str = ""


WHOLE = JobType(name="proof_whole", queue="player_actions", payload=Plan, result=JsonValue, handler=f"{__name__}:whole")
PART = JobType(name="proof_part", queue="llm", payload=Plan, result=JsonValue, handler=f"{__name__}:part")


def whole(ctx: JobContext, plan: Plan) -> JsonValue:
    ctx.step("one", _compute)
    ctx.io("two", _network)
    ctx.commit("three", _effect, ctx)
    answer: JsonValue = ctx.call("four", PART, text=plan.text)
    return answer


def part(ctx: JobContext, plan: Plan) -> JsonValue:
    return plan.text.upper()


def _compute() -> int:
    return 1


async def _network(*, idempotency_key: str) -> str:
    return idempotency_key


def _effect(ctx: JobContext) -> None:
    JobLog.objects.create(job_id=ctx.job_id, attempt=ctx.attempt, text="effect")
