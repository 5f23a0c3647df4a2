"""What the jobs of the conformance suite do, wherever they run. What they did is read from the record."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from datetime import timedelta

from pydantic import BaseModel, JsonValue

from jobs import registry
from jobs.changes import Change
from jobs.context import JobContext
from jobs.errors import PermanentError, Snooze
from jobs.models_steps import JobLog
from jobs.registry import Call, JobType


class Task(BaseModel):
    """What a job shall do: the name of a function below."""

    do: str = "echo"
    text: str = ""
    seconds: float = 0.0


class Draft(BaseModel):
    text: str
    changes: list[Change] = []


def _kind(name: str, *, isolate: bool) -> JobType:
    return JobType(
        name=name, queue="system", payload=Task, result=JsonValue, handler=f"{__name__}:work", isolate=isolate
    )


THREADS = _kind("conformance_threads", isolate=False)
ISOLATED = _kind("conformance_isolated", isolate=True)


def work(ctx: JobContext, task: Task) -> JsonValue:
    """The one handler."""
    return DEEDS[task.do](ctx, task)


def echo(ctx: JobContext, task: Task) -> JsonValue:
    return task.text


def process_id(ctx: JobContext, task: Task) -> JsonValue:
    return os.getpid()


def effect(ctx: JobContext, task: Task) -> JsonValue:
    ctx.commit("effect", _effect, ctx, task.text)
    return task.text


def _effect(ctx: JobContext, text: str) -> None:
    JobLog.objects.create(job_id=ctx.job_id, attempt=ctx.attempt, text=text)
    ctx.emit("game.state_updated", {"turn": 1})


def network(ctx: JobContext, task: Task) -> JsonValue:
    return ctx.io("network", _network, task.seconds)


async def _network(seconds: float, *, idempotency_key: str) -> str:
    await asyncio.sleep(seconds)
    return "answered"


def nap(ctx: JobContext, task: Task) -> JsonValue:
    ctx.sleep("nap", timedelta(seconds=task.seconds))
    return "rested"


def stuck(ctx: JobContext, task: Task) -> JsonValue:
    time.sleep(task.seconds)
    return None


def hopeless(ctx: JobContext, task: Task) -> JsonValue:
    raise PermanentError("no_way", "it can't be done")


def second_attempt(ctx: JobContext, task: Task) -> JsonValue:
    if ctx.attempt == 1:
        raise ZeroDivisionError
    return "recovered"


def second_run(ctx: JobContext, task: Task) -> JsonValue:
    if ctx.job.run == 1:
        raise PermanentError("no_way", "it can't be done")
    return "recovered"


def second_claim(ctx: JobContext, task: Task) -> JsonValue:
    """The first never gets beyond the network."""
    ctx.io("network", _network, 60.0 if ctx.token == 1 else 0.0)
    return effect(ctx, task)


def snooze(ctx: JobContext, task: Task) -> JsonValue:
    if ctx.token == 1:
        raise Snooze(0.1)
    return f"attempt {ctx.attempt}"


def ask(ctx: JobContext, task: Task) -> JsonValue:
    ruling = ctx.decide("ruling", Draft(text=task.text), version=1)
    return [ruling.decision, ruling.text or ruling.reason]


def callback(ctx: JobContext, task: Task) -> JsonValue:
    answer: JsonValue = ctx.wait_for(ctx.callback("paid"))
    return answer


def receive(ctx: JobContext, task: Task) -> JsonValue:
    answer: JsonValue = ctx.receive("news")
    return answer


def call(ctx: JobContext, task: Task) -> JsonValue:
    """Three children at once, and then one more."""
    kind = registry.job_type(ctx.job.type)
    told: list[JsonValue] = list(ctx.gather("parts", *(Call(kind, text=text) for text in task.text)))
    return [*told, ctx.call("last", kind, text="last")]


DEEDS: dict[str, Callable[[JobContext, Task], JsonValue]] = {
    deed.__name__: deed
    for deed in (
        *(echo, process_id, effect, network, nap, stuck, hopeless, second_attempt, second_run, second_claim, snooze),
        *(ask, callback, receive, call),
    )
}
