"""Workflows for tests, and their handlers."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel, JsonValue

from jobs.context import JobContext
from jobs.errors import PermanentError
from jobs.models_steps import JobLog
from jobs.registry import JobType
from jobs.results import Rejected
from jobs.workflows import By, Confirm, Fallback, Step, Workflow, WorkflowPayload

ran: list[str] = []
"""What handlers of this process did, in order; tests clear it."""


class Plan(WorkflowPayload):
    """What shall happen."""

    text: str = ""
    fail: str = ""


class Shown(BaseModel):
    text: str


def _type(name: str, *steps: Step, **options: Any) -> JobType:
    workflow = Workflow(title=name.title(), steps=steps, **options)
    handler = f"{__name__}:run_{name}"
    return JobType(
        name=f"test_{name}",
        queue="system",
        payload=Plan,
        result=JsonValue | Rejected,
        handler=handler,
        workflow=workflow,
        max_attempts=2,
        backoff=(0,),
    )


PART = JobType(name="test_part", queue="llm", payload=Plan, result=JsonValue, handler=f"{__name__}:run_part")
FIVE = _type(
    "five",
    Step("read", "Read"),
    Step("fetch", "Fetch", 2),
    Step("ask", "Ask another"),
    Step("check", "Somebody checks", 1),
    Step("write", "Write", 5),
)
MARKED = _type(
    "marked", Step("first", "First"), Step("second", "Second", confirm=Confirm(keywords=("go",), attempts=2))
)
CARD = _type("card", Step("check", "A person decides", confirm=Confirm(by=By.CARD)), scope="game", needs="decide")
GO_ON = _type("go_on", Step("check", "Check", confirm=Confirm(timeout_seconds=0.01, fallback=Fallback.GO_ON)))
STOP = _type("stop", Step("check", "Check", confirm=Confirm(timeout_seconds=0.01, fallback=Fallback.CANCEL)))
LATE = _type("late", Step("check", "Check", confirm=Confirm(timeout_seconds=0.01)))

SLOW = _type("slow", Step("first", "First"), Step("count", "Count", 3))
LATE_IN_GAME = _type("late_in_game", Step("check", "Check"), Step("after", "After"), scope="game", needs="decide")


def run_late_in_game(ctx: JobContext, plan: Plan) -> JsonValue:
    ctx.confirm("check", Shown(text="as it is"))
    return ctx.step("after", _note, "after")


EFFECT = JobType(name="test_effect", queue="llm", payload=Plan, result=JsonValue, handler=f"{__name__}:run_effect")
MANY = _type(
    "many",
    Step("one", "One"),
    Step("two", "Two"),
    Step("three", "Three"),
    Step("four", "Four", confirm=Confirm(timeout_seconds=600)),
    Step("five", "Five"),
)


def run_many(ctx: JobContext, plan: Plan) -> JsonValue:
    ctx.commit("one", _effect, ctx, "one")
    ctx.io("two", _fetch)
    ctx.call("three", EFFECT)
    ctx.confirm("four", Shown(text="so far"))
    return ctx.commit("five", _effect, ctx, "five")


def run_effect(ctx: JobContext, plan: Plan) -> JsonValue:
    return ctx.commit("effect", _effect, ctx, "three")


def _effect(ctx: JobContext, text: str) -> str:
    JobLog.objects.create(job_id=ctx.job_id, attempt=ctx.attempt, text=text)
    return text


def run_slow(ctx: JobContext, plan: Plan) -> JsonValue:
    return [ctx.step("first", _note, "first"), ctx.io("count", _count, ctx)]


async def _count(ctx: JobContext, *, idempotency_key: str) -> int:
    for number in range(1, 11):
        ctx.progress(percent=10 * number, message=f"{number} of 10")
        await asyncio.sleep(0.05)
    return 10


def run_five(ctx: JobContext, plan: Plan) -> JsonValue | Rejected:
    read = ctx.step("read", _read, plan)
    ctx.io("fetch", _fetch)
    asked = ctx.call("ask", PART, text=read)
    ruling = ctx.confirm("check", Shown(text=asked))
    if ruling.decision == "reject":
        return Rejected(reason=ruling.reason)
    return ctx.commit("write", _write, ctx, plan, ruling.text)


def run_part(ctx: JobContext, plan: Plan) -> JsonValue:
    return plan.text.upper()


def run_marked(ctx: JobContext, plan: Plan) -> JsonValue:
    return [ctx.step("first", _note, "first"), ctx.step("second", _note, "second")]


def run_card(ctx: JobContext, plan: Plan) -> JsonValue | Rejected:
    version = 1
    while (ruling := ctx.confirm("check", Shown(text=f"draft {version}"), version=version)).regenerate:
        version += 1
    return Rejected(reason=ruling.reason) if ruling.decision == "reject" else ruling.text


def _check(ctx: JobContext, plan: Plan) -> JsonValue:
    return ctx.confirm("check", Shown(text="as it is")).model_dump(mode="json")


run_go_on = run_stop = run_late = _check


def _read(plan: Plan) -> str:
    ran.append("read")
    if plan.fail == "once" and ran.count("read") == 1:
        raise ZeroDivisionError
    if plan.fail == "read":
        raise PermanentError("unreadable", "it can't be read")
    return plan.text


async def _fetch(*, idempotency_key: str) -> str:
    ran.append("fetch")
    return idempotency_key


def _note(text: str) -> str:
    ran.append(text)
    return text


def _write(ctx: JobContext, plan: Plan, text: str) -> str:
    ran.append("write")
    JobLog.objects.create(job_id=ctx.job_id, attempt=ctx.attempt, text=f"wrote {text}")
    return text
