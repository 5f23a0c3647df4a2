"""Tells a handler by name that reads the clock or chance where a replay would read something else."""

from __future__ import annotations

import gc
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from types import FrameType
from typing import Any

ENTRY = "jobs.execution"
"""The module that calls handlers."""

OTHERS = ("jobs.context", "jobs.course", "jobs.memory", "jobs.operations", "jobs.declared", "jobs.inline", "jobs.guard")
"""Behind these, somebody else does the reading: a step, or the queue."""

HARMLESS = ("logging", "structlog", "django.db", "importlib", "_frozen_importlib")

CLOCKS = (time.time, time.time_ns, time.monotonic, time.monotonic_ns, time.perf_counter, time.perf_counter_ns)


class Nondeterministic(AssertionError):
    """The handler asked for something outside a step that it would get differently when it is run again."""


@contextmanager
def watched() -> Iterator[None]:
    """Look at every call of a handler that runs in this thread; ``Nondeterministic`` at the end names the first."""
    found: list[str] = []

    def look(frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call" and not found and (what := _unsteady(called)) and (at := _handlers_line(frame)):
            found.append(f"the handler reads {what} at {at}: move it into ctx.step")

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(before)
    if found:
        raise Nondeterministic(found[0])


def _unsteady(called: Callable[..., Any]) -> str:
    """What of the outside world this built-in function reads; empty if nothing."""
    name, owner = getattr(called, "__name__", ""), getattr(called, "__self__", None)
    if called in CLOCKS:
        return f"the clock ({name})"
    if isinstance(owner, type) and issubclass(owner, date) and name in ("now", "utcnow", "today"):
        return f"the clock ({owner.__name__}.{name})"
    if called is os.urandom or name == "uuid1":
        return f"chance ({name})"
    if owner is random._inst:
        return f"chance (random.{name})"
    return ""


def _handlers_line(frame: FrameType | None) -> str:
    """Where the handler is, if it was the handler's own code, or what this calls, that led here."""
    at = ""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module == ENTRY:
            return at
        if module.startswith(OTHERS + HARMLESS) or _is_collectors(frame):
            return ""
        at = f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_qualname})"
        frame = frame.f_back
    return ""


def _is_collectors(frame: FrameType) -> bool:
    """Whether the garbage collector called this, wherever the handler was: Hypothesis times collections, for one."""
    return any(getattr(callback, "__code__", None) is frame.f_code for callback in gc.callbacks)
