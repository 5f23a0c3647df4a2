"""Job types that wait in every way, for the tests of durable functions."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from pydantic import BaseModel, JsonValue

from jobs.context import JobContext
from jobs.errors import ChildFailed, PermanentError, TimedOut
from jobs.models_steps import JobLog
from jobs.registry import Call, JobType


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


GATHERER = _type("gatherer", max_attempts=2)
PART = _type("part", queue="llm", max_attempts=1)
CALLER = _type("caller")
SUBMITTER = _type("submitter")
BREAKER = _type("breaker", max_attempts=1)
OLD = _type("changing", handler=f"{__name__}:changing_1")
NEW = _type("changing", handler=f"{__name__}:changing_2", version=2)

ran: list[str] = []
"""What handlers of this process did, in order; tests clear it."""

handed_out: list[str] = []
"""The tokens that were submitted."""


def gatherer(ctx: JobContext, wish: Wish) -> JsonValue:
    outcomes = ctx.gather("parts", *(Call(PART, texts=[text]) for text in wish.texts))
    told = [f"failed: {outcome.code}" if isinstance(outcome, ChildFailed) else outcome for outcome in outcomes]
    if wish.do == "again" and ctx.attempt == 1:
        raise ZeroDivisionError
    return told


def part(ctx: JobContext, wish: Wish) -> JsonValue:
    ran.append(wish.texts[0])
    if wish.texts[0] == "sleep":
        ctx.sleep("nap", 60)
    if wish.texts[0] == "bad":
        raise PermanentError("no_way", "it can't be done")
    return wish.texts[0].upper()


def caller(ctx: JobContext, wish: Wish) -> JsonValue:
    """A family as deep as there are texts, at whose end somebody sleeps."""
    if not wish.texts and wish.do == "network":
        return ctx.io("network", _slow_network)
    if not wish.texts:
        ctx.sleep("nap", 60)
        return "slept"
    try:
        deeper: JsonValue = ctx.call("deeper", CALLER, do=wish.do, texts=wish.texts[1:])
    except ChildFailed as error:
        return {"failed": error.code}
    return deeper


async def _slow_network(*, idempotency_key: str) -> str:
    await asyncio.sleep(60)
    return idempotency_key


def submitter(ctx: JobContext, wish: Wish) -> JsonValue:
    token = ctx.callback("done", verifier=wish.do)
    ctx.step("submit", _submit, token)
    timeout = timedelta(seconds=wish.seconds) if wish.seconds else None
    try:
        return {"answer": ctx.wait_for(token, timeout=timeout)}
    except TimedOut:
        return {"answer": "too late"}


def _submit(token: str) -> None:
    handed_out.append(token)


def changing_1(ctx: JobContext, wish: Wish) -> JsonValue:
    ctx.step("one", _said, "one")
    ctx.sleep("nap", 60)
    return "version 1"


def changing_2(ctx: JobContext, wish: Wish) -> JsonValue:
    ctx.step("uno", _said, "uno")
    ctx.sleep("nap", wish.seconds or 60)
    return "version 2"


def breaker(ctx: JobContext, wish: Wish) -> JsonValue:
    """Breaks the rule that the test names, and hides it from the queue where it can."""
    match wish.do:
        case "reuse":
            for _ in range(2):
                with contextlib.suppress(Exception):
                    ctx.step("same", _said, "a")
        case "write":
            with contextlib.suppress(Exception):
                JobLog.objects.create(job_id=ctx.job_id, attempt=1, text="outside")
        case "write by query":
            with contextlib.suppress(Exception), connection.cursor() as cursor:
                cursor.execute("WITH old AS (SELECT 1) DELETE FROM jobs_joblog")
        case "write in step":
            with contextlib.suppress(Exception):
                ctx.step("sly", _write, ctx)
        case "emit":
            with contextlib.suppress(Exception):
                ctx.emit("game.state_updated", {})
        case "atomic":
            with contextlib.suppress(Exception), transaction.atomic():
                ctx.sleep("nap", 60)
        case "verb in commit":
            with contextlib.suppress(Exception):
                ctx.commit("outer", ctx.step, "inner", _said, "a")
        case "swallow all":
            with contextlib.suppress(BaseException):
                ctx.sleep("nap", 60)
        case "go on":
            try:
                ctx.sleep("nap", 60)
            finally:
                ctx.step("after all", _said, "a")
        case "swallow failure":
            with contextlib.suppress(ZeroDivisionError):
                ctx.step("fails", _divide)
            ctx.step("builds on it", _said, "a")
        case "long name":
            ctx.step("x" * 101, _said, "a")
        case "foreign token":
            ctx.wait_for("made up")
        case "unknown verifier":
            ctx.callback("done", verifier="nobody")
        case "naive time":
            ctx.sleep("nap", datetime(2030, 1, 1))  # noqa: DTZ001 - the mistake that is looked for
        case "another way":
            ctx.step(f"step {len(ran)}", _said, "a")
            ran.append("passed")
            ctx.sleep("nap", 60)
        case "leave out":
            if not ran:
                ctx.step("first time only", _said, "a")
                ran.append("passed")
                ctx.sleep("nap", 60)
        case "another kind":
            if not ran:
                ran.append("passed")
                ctx.step("thing", _said, "a")
                ctx.sleep("nap", 60)
            ctx.commit("thing", _said, "a")
    return None


def _write(ctx: JobContext) -> None:
    JobLog.objects.create(job_id=ctx.job_id, attempt=1, text="in a step")


def _divide() -> float:
    return 1 / 0


def hasty(ctx: JobContext, wish: Wish) -> JsonValue:
    """Reads what the test names, in the handler itself or (as it should) in a step."""
    reads: dict[str, Callable[[], object]] = {
        "time": time.time,
        "now": datetime.now,
        "django's now": timezone.now,
        "uuid4": uuid.uuid4,
        "random": random.random,
        "choice": lambda: random.choice("ab"),
        "log": lambda: logging.getLogger("hasty").warning("logs have times"),
        "seeded": lambda: random.Random(1).random(),
        "collect": gc.collect,
    }
    read = reads[wish.do]
    if wish.texts:
        return ctx.step("read", lambda: str(read()))
    read()
    return None


HASTY = _type("hasty")
EVERYTHING = _type("everything", max_attempts=1)


def everything(ctx: JobContext, wish: Wish) -> JsonValue:
    """Every verb and every wait, with one effect."""
    one = ctx.step("one", _said, "one")
    two = ctx.io("two", _network)
    token = ctx.callback("third")
    ctx.step("hand out", _submit, token)
    called = ctx.call("called", PART, texts=["called"])
    gathered = ctx.gather("parts", Call(PART, texts=["a"]), Call(PART, texts=["b"]))
    ctx.sleep("nap", timedelta(days=1))
    three = ctx.wait_for(token)
    ctx.log("almost done")
    ctx.commit("effect", _effect, ctx)
    return [one, two, three, called, gathered]


async def _network(*, idempotency_key: str) -> str:
    return "two"


def _effect(ctx: JobContext) -> None:
    JobLog.objects.create(job_id=ctx.job_id, attempt=ctx.attempt, text="effect")


TELLER = _type("teller", max_attempts=2, backoff=(0.0,))


def teller(ctx: JobContext, wish: Wish) -> JsonValue:
    """Tells where it is, and fails in the middle of its first attempt."""
    pair = ctx.step("pair", lambda: ("a", 1))
    ctx.log("before the nap")
    ctx.progress(percent=10)
    ctx.sleep("nap", 60)
    ctx.progress(percent=50)
    ctx.log("after the nap")
    ctx.step("shaky", _shaky)
    return [type(pair).__name__, list(pair)]


def _shaky() -> None:
    ran.append("shaky")
    if len(ran) == 1:
        raise ZeroDivisionError
