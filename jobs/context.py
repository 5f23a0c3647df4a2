"""What a handler is given: three verbs, the waits, and a memory of what it already did.

A handler may stop and go on later, on another worker, after any crash. Finished steps are read back instead of run
again; every write is bound to the claim's token, so a handler whose lease is over changes nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, ParamSpec, Protocol, TypeVar, cast, get_type_hints

from django.conf import settings
from django.db import connection, transaction
from django.db.models.expressions import Combinable
from django.utils.timezone import is_naive
from pydantic import BaseModel, TypeAdapter

from jobs import queue_settings
from jobs.clock import in_seconds
from jobs.course import Course
from jobs.declared import DeclaredSteps
from jobs.ephemeral import Chunks, Ephemeral
from jobs.errors import ChildFailed, HandlerMisuse, PermanentError, TimedOut
from jobs.events.ledger import Ledger, ledger
from jobs.failpoints import failpoint
from jobs.models import Job
from jobs.models_steps import JobStep, StepKind
from jobs.operations import answers, callbacks, logs, waits
from jobs.operations.leases import lock_held
from jobs.operations.transitions import record_step
from jobs.registry import Call, JobType
from jobs.results import Ruling, drafted
from jobs.storable import mistakes, require_storable, told

P = ParamSpec("P")
R = TypeVar("R")

Untold = tuple[list[tuple[int, Ephemeral]], list[int]]
"""Passing events with their scopes, and the jobs of which there are new lines."""


class Suspended(BaseException):
    """The job waits now and the stack is being left. Not an ``Exception``, so that no handler swallows it."""


class Runtime(Protocol):
    """What the process that runs a handler lends to it."""

    def run_io(self, context: JobContext, coroutine: Coroutine[Any, Any, R], timeout_seconds: float) -> R:
        """Run on the process's event loop; ``TimeoutError`` past the time.

        ``LeaseLost`` when the claim is over, ``CancelRequested`` when the job was called off.
        """

    def report(self, context: JobContext, progress: dict[str, Any]) -> None:
        """Take note of a handler's progress; only the latest matters."""

    def speak(self, context: JobContext, *, at_once: bool = False) -> None:
        """Tell soon what of the context is ``untold``, or at once. Never waits: coroutines call it."""


def timeout_seconds(job: Job) -> float:
    """How long a claim of this job may take: its own limit, its queue's, its type's, or the setting."""
    return float(
        job.timeout_seconds
        or queue_settings.of(job.queue).timeout_seconds
        or job.declared().timeout_seconds
        or settings.CONFIG.job_timeout_seconds
    )


class JobContext(Course):
    """One run of a handler on one claim."""

    def __init__(self, job: Job, runtime: Runtime) -> None:
        super().__init__(job)
        self.attempt = job.attempt
        self.deadline = time.monotonic() + timeout_seconds(job)
        self.root = (job.root if job.root_id is not None else None) or job
        self.chunks = Chunks(request_id=self.request_id, kind=self.root.type, attempt=job.token)
        self.declared = DeclaredSteps(self)
        self._runtime = runtime
        self._callbacks: dict[str, str] = {}
        self._lines = self._lines_told = 0
        self._book: Ledger | None = None

    # -- verbs ---------------------------------------------------------------------------------------------------

    def step(self, name: str, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Compute or read; the result is kept. No transaction is open; after a crash it may run again."""
        adapter = _adapter(fn)
        if done := self._begin(name, StepKind.STEP):
            return cast("R", adapter.validate_python(done.result))
        with self._live(name):
            failpoint(f"before_step:{name}")
            return cast("R", self._keep(name, StepKind.STEP, adapter, fn(*args, **kwargs)))

    def commit(self, name: str, fn: Callable[..., R], *args: Any, lanes: tuple[str, ...] = (), **kwargs: Any) -> R:
        """Run ``fn``'s writes and keep its result in one transaction, exactly once, if the claim still holds.

        ``lanes``: keys of the lanes that ``fn`` enqueues into.
        """
        adapter = _adapter(fn)
        if done := self._begin(name, StepKind.COMMIT):
            return cast("R", adapter.validate_python(done.result))
        with self._live(name):
            failpoint(f"before_commit:{name}")
            with self.guard.lifted(), ledger(lanes=lanes) as book:
                job = lock_held(self.job_id, self.token)
                self._book = book
                try:
                    value = fn(*args, **kwargs)
                finally:
                    self._book = None
                stored = _storable(name, adapter, value)
                record_step(job, name=name, kind=StepKind.COMMIT, result=stored)
                failpoint(f"in_commit:{name}")
            failpoint(f"after_commit:{name}")
            return cast("R", adapter.validate_python(stored))

    def io(self, name: str, fn: Callable[..., Coroutine[Any, Any, R]], *args: Any) -> R:
        """Await the network on the worker's event loop, with no database connection held; the result is kept.

        ``fn`` gets ``args`` and ``idempotency_key``, the same on every attempt, for the other side to recognise a
        call that is made again after a crash.
        """
        adapter = _adapter(fn)
        if done := self._begin(name, StepKind.IO):
            return cast("R", adapter.validate_python(done.result))
        with self._live(name):
            failpoint(f"before_io:{name}")
            connection.close()
            key = f"{self.job.public_id}:{self.job.run}:{name}"
            remaining = self.deadline - time.monotonic()
            value = self._runtime.run_io(self, fn(*args, idempotency_key=key), max(remaining, 0.0))
            failpoint(f"after_io:{name}")
            return cast("R", self._keep(name, StepKind.IO, adapter, value))

    # -- waits ---------------------------------------------------------------------------------------------------

    def call(self, name: str, job_type: JobType, **payload: Any) -> Any:
        """Run another job and wait for its result. ``ChildFailed`` carries the child's error when it has none."""
        done = self._begin(name, StepKind.CALL)
        if done is None:
            with self._waiting(name):
                waits.call(self.job_id, self.token, name=name, job_type=job_type, payload=payload)
            raise self._suspended(name)
        return _result_of(done, job_type)

    def gather(self, name: str, *calls: Call) -> list[Any]:
        """Run other jobs at the same time and wait for all: in order, the result of each or its ``ChildFailed``.

        They are kept as steps ``<name>.0``, ``<name>.1`` and so on. The next attempt calls those again that failed.
        """
        names = [f"{name}.{n}" for n in range(len(calls))]
        found = self._begin_all(names, StepKind.CALL) if names else []
        missing = [(step, call) for step, call, done in zip(names, calls, found, strict=True) if done is None]
        if missing:
            with self._waiting(name):
                waits.gather(self.job_id, self.token, name=name, calls=missing)
            raise self._suspended(name)
        return [_outcome_of(done, call.job_type) for done, call in zip(found, calls, strict=True) if done is not None]

    def decide(self, subject: str, draft: BaseModel, *, version: int) -> Ruling:
        """Have a person decide about this version of a draft; kept as step ``<subject>.<version>``.

        Where the scope asks nobody, the draft is accepted at once and the job does not wait.
        """
        name = f"{subject}.{version}"
        if done := self._begin(name, StepKind.DECIDE):
            return Ruling.model_validate(done.result)
        with self._waiting(name):
            body = drafted(draft)
            ruling = waits.decide(self.job_id, self.token, name=name, subject=subject, version=version, draft=body)
        if ruling is None:
            raise self._suspended(name)
        return Ruling.model_validate(ruling)

    def sleep(self, name: str, until: datetime | timedelta | float) -> None:
        """Go on after a time (in seconds, or a ``timedelta``) or at one. No slot is taken meanwhile."""
        if self._begin(name, StepKind.SLEEP) is None:
            with self._waiting(name):
                answers.sleep(self.job_id, self.token, name=name, until=_moment(name, until))
            raise self._suspended(name)

    def callback(self, name: str, *, verifier: str = "") -> str:
        """A token to hand to somebody, who answers with it at ``POST /v1/callbacks/<token>``; the same on every replay.

        ``verifier``: the registered one that has to believe who answers, besides the token.
        ``jobs.operations.callbacks.path`` makes an address of the token.
        """
        minted = self._begin(name, StepKind.CALLBACK)
        if minted is None:
            with self._waiting(name):
                minted = callbacks.mint(self.job_id, self.token, name=name, verifier=verifier)
        token = callbacks.token_of(self.job, minted)
        self._callbacks[token] = name
        return token

    def wait_for(self, token: str, *, timeout: timedelta | None = None) -> Any:
        """Wait for the JSON that comes to this callback; it may have come before. Kept as step ``<name>.answer``.

        ``TimedOut`` when nothing has come for that long since the job began to wait; later answers are refused.
        """
        if token not in self._callbacks:
            raise self._misused(HandlerMisuse("ctx.wait_for: ctx.callback did not mint this token"))
        return self.receive(callbacks.answer_name(self._callbacks[token]), timeout=timeout)

    def receive(self, name: str, *, timeout: timedelta | None = None) -> Any:
        """Wait for what ``jobs.operations.answers.give`` brings under this name; it may have come before.

        ``TimedOut`` when nothing has come for that long since the job began to wait.
        """
        done = self._begin(name, StepKind.ANSWER)
        if done is None:
            with self._waiting(name):
                done = answers.receive(self.job_id, self.token, name=name, timeout=timeout)
        if done is None:
            raise self._suspended(name)
        if done.error is not None:
            raise TimedOut(**done.error)
        return done.result

    def confirm(self, name: str, draft: BaseModel, *, version: int = 1) -> Ruling:
        """Have the declared step ``name`` of a workflow confirmed, which is all that it does: see docs/workflows.md.

        As after ``decide``, a ruling with ``regenerate`` asks for another draft, which comes as the next version.
        """
        return self.declared.confirm(name, draft, version)

    # -- telling -------------------------------------------------------------------------------------------------

    def emit(self, event: str, data: dict[str, Any] | None, *, private: dict[str, Any] | None = None) -> None:
        """A numbered event in the request's scope, with the writes of the ``commit`` that it tells of."""
        if self._book is None:
            rule = f"ctx.emit({event!r}) outside ctx.commit: an event belongs to the writes it tells of"
            raise self._misused(HandlerMisuse(rule))
        both = {"data": data, "private": private}
        require_storable("event", f"event {event!r}", both, json.dumps(both))
        self._book.tell(self.root, event, data, private=private)

    def log(self, text: str) -> None:
        """A line for those who look into the job, live and kept (the last ``log_lines``); not repeated while replaying.
        In ``commit`` it is written with the rest, or not at all.
        """
        if not self.replaying:
            with self.guard.lifted():
                logs.write(self.job, text, count=self._lines)
            transaction.on_commit(self._logged)

    def progress(self, **progress: Any) -> None:
        """How far the handler is; only the latest is kept. May be called from ``io`` coroutines as often as wished."""
        if not self.replaying:
            if wrong := _unfit(progress):
                raise self._misused(HandlerMisuse(f"ctx.progress: {wrong}"))
            self._runtime.report(self, progress)

    def chunk(self, content: str, *, done: bool = False, deciders_only: bool = True) -> None:
        """Text as it is being written, for those who watch the request; never kept, and nothing may depend on it.

        For ``io`` coroutines, as often as wished: what comes within ``chunk_seconds`` is joined. ``done`` with the
        last. ``deciders_only=False`` where nobody has to decide on the text before all see it.
        """
        if not isinstance(content, str):
            raise self._misused(HandlerMisuse("ctx.chunk: not text"))
        if not (self.lost or self.called_off) and self.job.scope_id is not None:
            self.chunks.add(content, done=done, deciders_only=deciders_only)
            self._runtime.speak(self, at_once=done)

    @property
    def request_id(self) -> str:
        """The public id of the request that this job works for."""
        return str(self.root.public_id)

    def untold(self) -> Untold:
        """What has come since the last time, for runtimes to tell those who watch, where they may wait for Redis."""
        scope, lines, told = self.job.scope_id, self._lines, self._lines_told
        self._lines_told = lines
        chunk = self.chunks.take() if scope is not None else None
        return [(scope, chunk)] if scope is not None and chunk else [], [self.job_id] if lines > told else []

    # -- inside --------------------------------------------------------------------------------------------------

    def _logged(self) -> None:
        self._lines += 1
        self._runtime.speak(self)

    def _begin(self, name: str, kind: StepKind) -> JobStep | None:
        return self._begin_all([name], kind)[0]

    def _begin_all(self, names: Sequence[str], kind: StepKind) -> list[JobStep | None]:
        found = self._recall(names, kind)
        if None in found:
            first = names[found.index(None)]
            self.declared.begin(first)
            self._go_live(first, kind)
        else:
            self.declared.passed(names[0])
        return found

    @contextmanager
    def _waiting(self, name: str) -> Iterator[None]:
        """The queue's own writes about a wait."""
        with self._live(name), self.guard.lifted():
            yield
            failpoint(f"after_wait:{name}")

    def _keep(self, name: str, kind: StepKind, adapter: TypeAdapter[Any], value: Any) -> Any:
        stored = _storable(name, adapter, value)
        with self.guard.lifted(), ledger():
            record_step(lock_held(self.job_id, self.token), name=name, kind=kind, result=stored)
            failpoint(f"in_step:{name}")
        failpoint(f"after_step:{name}")
        return adapter.validate_python(stored)

    def _suspended(self, name: str) -> Suspended:
        self.suspended = name
        return Suspended()


def _storable(name: str, adapter: TypeAdapter[Any], value: Any) -> Any:
    """The result of this step as JSON; ``PermanentError`` if it is too large to be kept, or the databases can't."""
    stored, most = adapter.dump_python(value, mode="json"), settings.CONFIG.step_bytes
    text, what = json.dumps(stored), f"the result of step {name!r}"
    if len(text) > most:
        raise PermanentError("step_too_large", f"{what} is over {most} bytes")
    require_storable("step", what, stored, text)
    return stored


def _unfit(progress: dict[str, Any]) -> str:
    """Why this can't be kept, found out here and not where it would stop the worker's heart."""
    try:
        text = json.dumps(progress)
    except (TypeError, ValueError) as error:
        return f"not JSON: {error}"
    if len(text) > settings.CONFIG.payload_bytes:
        return f"over {settings.CONFIG.payload_bytes} bytes"
    return told("it", mistakes(progress, text))  # by themselves: what is kept together must not fail together


def _result_of(done: JobStep, job_type: JobType) -> Any:
    if done.error is not None:
        raise ChildFailed(done.error["code"], done.error["detail"])
    return job_type.adapter.validate_python(done.result)


def _outcome_of(done: JobStep, job_type: JobType) -> Any:
    try:
        return _result_of(done, job_type)
    except ChildFailed as error:
        return error


def _moment(name: str, until: datetime | timedelta | float) -> datetime | Combinable:
    if isinstance(until, datetime):
        if is_naive(until):
            raise HandlerMisuse(f"{name!r} sleeps until a time without a time zone")
        return until
    return in_seconds(until.total_seconds() if isinstance(until, timedelta) else until)


def _adapter(fn: Callable[..., Any]) -> TypeAdapter[Any]:
    """How this function's result is stored and read back, by its return annotation."""
    return _adapter_of(get_type_hints(getattr(fn, "func", fn)).get("return", Any))


@lru_cache(maxsize=512)
def _adapter_of(result: Any) -> TypeAdapter[Any]:
    """Kept by type: kept by function, closures would pile up with all they hold."""
    return TypeAdapter(result)
