"""Job types for the queue's own tests, and their handlers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from typing import Any

from pydantic import BaseModel, JsonValue

from jobs.context import JobContext
from jobs.errors import PermanentError, RetryLater, Snooze
from jobs.models import Scope
from jobs.registry import JobType
from jobs.results import Rejected

ran: list[str] = []
"""What handlers of this process did, in order; tests clear it."""


class Plan(BaseModel):
    """What a test handler shall do."""

    do: str = "echo"
    text: str = ""
    seconds: float = 0.0


class Echoed(BaseModel):
    text: str


def _type(name: str, **options: Any) -> JobType:
    fields: dict[str, Any] = {"queue": "system", "payload": Plan, "result": JsonValue, "handler": f"{__name__}:{name}"}
    return JobType(name=f"test_{name}", **fields | options)


ECHO = _type("echo", result=Echoed | Rejected)
FAIL = _type("fail", max_attempts=3)
PARENT = _type("parent", queue="player_actions")
FAMILY = _type("family")
CHILD = _type("child", queue="llm", started_event="llm.processing", max_attempts=2)
STEPS = _type("steps")
IO = _type("io")
CHATTY = _type("chatty")
SLEEP = _type("sleep")
SPEAK = _type("speak")
MISUSE = _type("misuse", max_attempts=1)


TELLTALE = _type("telltale")
SNOOZE = _type("snooze")
TAGGED = _type("tagged", tags=("slow",))
STUCK = _type("stuck", timeout_seconds=0.5, max_attempts=1)
ALONE = _type("alone", isolate=True, timeout_seconds=60, max_attempts=1)
HURRIED = _type("hurried", handler=f"{__name__}:alone", isolate=True, timeout_seconds=4, max_attempts=1)


def echo(ctx: JobContext, plan: Plan) -> Echoed | Rejected:
    ran.append(plan.text)
    return Rejected(reason="no") if plan.do == "reject" else Echoed(text=plan.text)


def fail(ctx: JobContext, plan: Plan) -> JsonValue:
    ran.append(f"attempt {ctx.attempt}")
    if plan.do == "permanent":
        raise PermanentError("no_way", "it can't be done")
    if plan.do == "later":
        raise RetryLater(30, "busy", "come back")
    if plan.do == "exit":
        raise SystemExit(3)
    if plan.do == "recover" and ctx.attempt == 2:
        return "recovered"
    raise ZeroDivisionError("secret detail")


def telltale(ctx: JobContext, plan: Plan) -> JsonValue:
    ctx.log("a secret line")
    ctx.step("one", _note, "a secret step")
    raise PermanentError("no_way", "a secret detail")


def tagged(ctx: JobContext, plan: Plan) -> JsonValue:
    ctx.log(plan.text)
    return ctx.call("ask", TAGGED, text=plan.text) if plan.do == "call" else None


def snooze(ctx: JobContext, plan: Plan) -> JsonValue:
    raise Snooze(60)


def stuck(ctx: JobContext, plan: Plan) -> JsonValue:
    while plan.do == "spin":
        pass
    time.sleep(plan.seconds)
    return None


def alone(ctx: JobContext, plan: Plan) -> JsonValue:
    match plan.do:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "leave":
            os._exit(0)
        case "spin":
            while True:
                with contextlib.suppress(Exception):
                    time.sleep(0.01)
        case "memory":
            return len(bytearray(4 << 30))
        case "step":
            return ctx.step("one", _note, "one")
    return os.getpid()


def parent(ctx: JobContext, plan: Plan) -> JsonValue:
    ran.append("parent")
    answer = ctx.call("ask", CHILD, do=plan.do, text=plan.text)
    return {"child": answer}


def family(ctx: JobContext, plan: Plan) -> JsonValue:
    if plan.do == "nest":
        ctx.call("ask", PARENT)
        return None
    for step, job_type in (("one", CHILD), ("two", CHILD), ("three", TAGGED)):
        ctx.call(step, job_type)
    if plan.do == "fail":
        raise PermanentError("no_way", "it can't be done")
    return None


def child(ctx: JobContext, plan: Plan) -> JsonValue:
    ran.append("child")
    if plan.do == "fail":
        raise ZeroDivisionError
    return plan.text.upper()


def steps(ctx: JobContext, plan: Plan) -> JsonValue:
    one = ctx.step("one", _note, "one")
    two = ctx.commit("two", _write, ctx, "two")
    ctx.log("between")
    three = ctx.step("three", _note, "three")
    return [one, two, three]


def _note(text: str) -> str:
    ran.append(text)
    return text


def _write(ctx: JobContext, text: str) -> str:
    ran.append(text)
    Scope.objects.create(key=f"written:{ctx.job_id}:{text}")
    ctx.emit("game.state_updated", {"turn": 1})
    return text


def io(ctx: JobContext, plan: Plan) -> JsonValue:
    return ctx.io("call", _network, plan.seconds)


async def _network(seconds: float, *, idempotency_key: str) -> str:
    ran.append(idempotency_key)
    await asyncio.sleep(seconds)
    return "answered"


def chatty(ctx: JobContext, plan: Plan) -> JsonValue:
    return ctx.io("call", _chatter, ctx, plan.seconds)


async def _chatter(ctx: JobContext, seconds: float, *, idempotency_key: str) -> str:
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        ctx.progress(left=ends_at - time.monotonic())
        await asyncio.sleep(0.02)
    return "answered"


def sleep(ctx: JobContext, plan: Plan) -> JsonValue:
    time.sleep(plan.seconds)
    return threading.current_thread().name


def misuse(ctx: JobContext, plan: Plan) -> JsonValue:
    match plan.do:
        case "twice":
            ctx.step("same", _note, "a")
            ctx.step("same", _note, "b")
        case "write":
            Scope.objects.create(key="written outside commit")
        case "emit":
            ctx.emit("game.state_updated", {})
        case "result":
            return object()  # type: ignore[return-value]
        case "large":
            return "x" * 200_000
        case "nul":
            return "a\0b"
        case "step":
            ctx.step("large", _note, "x" * 2_000_000)
        case "progress":
            ctx.progress(done=object())
        case "chunk":
            ctx.chunk(None)  # type: ignore[arg-type]
        case "much":
            ctx.progress(done="x" * 200_000)
        case "nan":
            ctx.progress(done=float("nan"))
        case "half":
            ctx.progress(done="\ud83d")
        case "wordy":
            raise PermanentError("no_way", "x" * 200_000)
        case "half a result":
            return {"text": "a\ud83d"}
        case "no number":
            return [float("nan")]
        case "half a step":
            ctx.step("half", _note, "a\ud83d")
        case "half a draft":
            ctx.decide("half", Plan(text="a\ud83d"), version=1)
        case "half an event":
            ctx.commit("half", lambda: ctx.emit("game.state_updated", {"text": "a\ud83d"}))
        case "half a line":
            ctx.log("a\ud83d")
            raise PermanentError("no_way", "")
        case "half an error":
            raise PermanentError("no_way", "a\ud83d") from ValueError("\ud83d")
        case "half a code":
            raise PermanentError("no_way\ud83d", "a")
    return None


def speak(ctx: JobContext, plan: Plan) -> JsonValue:
    return ctx.io("call", _speech, ctx, plan)


async def _speech(ctx: JobContext, plan: Plan, *, idempotency_key: str) -> str:
    for word in (words := plan.text.split()):
        ctx.chunk(f"{word} ", deciders_only=plan.do == "secret")
        await asyncio.sleep(plan.seconds)
    ctx.chunk("", done=True, deciders_only=plan.do == "secret")
    return f"{len(words)} words"
