"""What a handler is given: three verbs, the waits, and a memory of what it already did.

A handler may stop and go on later, on another worker, after any crash. Finished steps are read back instead of run
again; every write is bound to the claim's token, so a handler whose lease is over changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, ParamSpec, Protocol, TypeVar, cast, get_type_hints

from django.conf import settings
from django.db import connection
from django.db.models.expressions import Combinable
from django.utils.timezone import is_naive
from pydantic import BaseModel, TypeAdapter

from jobs import queue_settings
from jobs.declared import DeclaredSteps
from jobs.ephemeral import Chunks
from jobs.errors import ChildFailed, HandlerMisuse, StepMismatch, TimedOut
from jobs.events.ledger import Ledger, ledger
from jobs.failpoints import failpoint
from jobs.guard import WriteGuard
from jobs.models import Job, JobLog, JobStep, StepKind
from jobs.operations import answers, waits
from jobs.operations.leases import CancelRequested, LeaseLost, lock_held
from jobs.operations.transitions import record_step
from jobs.registry import JobType
from jobs.results import Ruling

P = ParamSpec("P")
R = TypeVar("R")

NAME_CHARACTERS = 100


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

    def speak(self, context: JobContext) -> None:
        """Tell soon what was added to the context's chunks. Never waits: coroutines call it."""


def timeout_seconds(job: Job) -> float:
    """How long a claim of this job may take: its own limit, its queue's, its type's, or the setting."""
    return float(
        job.timeout_seconds
        or queue_settings.of(job.queue).timeout_seconds
        or job.declared().timeout_seconds
        or settings.CONFIG.job_timeout_seconds
    )


class JobContext:
    """One run of a handler on one claim."""

    def __init__(self, job: Job, runtime: Runtime) -> None:
        self.job_id = job.pk
        self.token = job.token
        self.attempt = job.attempt
        self.guard = WriteGuard()
        self.lost = False
        self.called_off = False
        self.job = job
        self._runtime = runtime
        self.deadline = time.monotonic() + timeout_seconds(job)
        self._done = {step.name: step for step in JobStep.objects.filter(job=job, run=job.run)} if job.token > 1 else {}
        self._to_replay = set(self._done)
        self._used: set[str] = set()
        self._book: Ledger | None = None
        self.suspended = False
        self.declared = DeclaredSteps(self)
        self.chunks = Chunks(request_id=self.request_id, kind=(job.root or job).type, attempt=job.token)

    # -- verbs ---------------------------------------------------------------------------------------------------

    def step(self, name: str, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Compute or read; the result is kept. No transaction is open; after a crash it may run again."""
        adapter = _adapter(fn)
        if done := self._begin(name, StepKind.STEP):
            return cast("R", self._read_back(done, adapter))
        failpoint(f"before_step:{name}")
        return cast("R", self._keep(name, StepKind.STEP, adapter, fn(*args, **kwargs)))

    def commit(self, name: str, fn: Callable[..., R], *args: Any, lanes: tuple[str, ...] = (), **kwargs: Any) -> R:
        """Run ``fn``'s writes and keep its result in one transaction, exactly once, if the claim still holds.

        ``lanes``: keys of the lanes that ``fn`` enqueues into.
        """
        adapter = _adapter(fn)
        if done := self._begin(name, StepKind.COMMIT):
            return cast("R", self._read_back(done, adapter))
        failpoint(f"before_commit:{name}")
        with self.guard.lifted(), ledger(lanes=lanes) as book:
            job = lock_held(self.job_id, self.token)
            self._book = book
            try:
                value = fn(*args, **kwargs)
            finally:
                self._book = None
            stored = adapter.dump_python(value, mode="json")
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
            return cast("R", self._read_back(done, adapter))
        failpoint(f"before_io:{name}")
        if not connection.in_atomic_block:
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
        if done is not None and done.error is None:
            return self._read_back(done, job_type.adapter)
        if done is not None and done.error is not None and done.attempt == self.attempt:
            self._to_replay.discard(name)
            raise ChildFailed(done.error["code"], done.error["detail"])
        self._refuse_in_atomic(name)
        with self.guard.lifted():
            waits.call(self.job_id, self.token, name=name, job_type=job_type, payload=payload)
        failpoint(f"after_call:{name}")
        raise self._suspended()

    def decide(self, subject: str, draft: BaseModel, *, version: int) -> Ruling:
        """Have a person decide about this version of a draft; kept as step ``<subject>.<version>``.

        Where the scope asks nobody, the draft is accepted at once and the job does not wait.
        """
        name = f"{subject}.{version}"
        if done := self._begin(name, StepKind.DECIDE):
            return cast("Ruling", self._read_back(done, _RULING))
        self._refuse_in_atomic(name)
        with self.guard.lifted():
            body = draft.model_dump(mode="json")
            ruling = waits.decide(self.job_id, self.token, name=name, subject=subject, version=version, draft=body)
        failpoint(f"after_decide:{name}")
        if ruling is not None:
            return Ruling.model_validate(ruling)
        raise self._suspended()

    def sleep(self, name: str, until: datetime | timedelta | float) -> None:
        """Go on after a time (in seconds, or a ``timedelta``) or at one. No slot is taken meanwhile."""
        if done := self._begin(name, StepKind.SLEEP):
            self._to_replay.discard(done.name)
            return
        self._refuse_in_atomic(name)
        with self.guard.lifted():
            answers.sleep(self.job_id, self.token, name=name, until=_moment(name, until))
        failpoint(f"after_wait:{name}")
        raise self._suspended()

    def receive(self, name: str, *, timeout: timedelta | None = None) -> Any:
        """Wait for what ``jobs.operations.answers.give`` brings under this name; it may have come before.

        ``TimedOut`` when nothing has come for that long since the job began to wait.
        """
        done = self._begin(name, StepKind.ANSWER)
        if done is None:
            self._refuse_in_atomic(name)
            with self.guard.lifted():
                done = answers.receive(self.job_id, self.token, name=name, timeout=timeout)
            failpoint(f"after_wait:{name}")
            if done is None:
                raise self._suspended()
        self._to_replay.discard(name)
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
            raise HandlerMisuse(f"ctx.emit({event!r}) outside ctx.commit: an event belongs to the writes it tells of")
        self._book.tell(self.job.root or self.job, event, data, private=private)

    def log(self, text: str) -> None:
        """A line for those who look into the job; not repeated while replaying."""
        if not self.replaying:
            with self.guard.lifted():
                JobLog.objects.create(job_id=self.job_id, attempt=self.attempt, text=text)

    def progress(self, **progress: Any) -> None:
        """How far the handler is; only the latest is kept. May be called from ``io`` coroutines as often as wished."""
        if not self.replaying:
            self._runtime.report(self, progress)

    def chunk(self, content: str, *, done: bool = False, deciders_only: bool = True) -> None:
        """Text as it is being written, for those who watch the request; never kept, and nothing may depend on it.

        For ``io`` coroutines, as often as wished: what comes within ``chunk_seconds`` is joined. ``done`` with the
        last. ``deciders_only=False`` where nobody has to decide on the text before all see it.
        """
        if not (self.lost or self.called_off) and self.job.scope_id is not None:
            self.chunks.add(content, done=done, deciders_only=deciders_only)
            self._runtime.speak(self)

    @property
    def request_id(self) -> str:
        """The public id of the request that this job works for."""
        return str((self.job.root or self.job).public_id)

    @property
    def replaying(self) -> bool:
        """Whether steps of an earlier claim are still being read back."""
        return bool(self._to_replay)

    # -- inside --------------------------------------------------------------------------------------------------

    def _begin(self, name: str, kind: StepKind) -> JobStep | None:
        if self.called_off:
            raise CancelRequested
        if self.lost or self.suspended:
            raise LeaseLost(f"the handler went on after job {self.job_id} was no longer its own")
        if not name or len(name) > NAME_CHARACTERS:
            raise HandlerMisuse(f"step name {name!r}: use 1 to {NAME_CHARACTERS} characters")
        if name in self._used:
            raise HandlerMisuse(f"step name {name!r} is used twice: put the round into the name")
        self._used.add(name)
        done = self._done.get(name)
        if done is not None and done.kind != kind:
            raise StepMismatch(f"step {name!r} was recorded as {done.kind} and is now {kind.value}")
        if done is None or done.error is not None:
            self.declared.begin(name)
        return done

    def _read_back(self, done: JobStep, adapter: TypeAdapter[Any]) -> Any:
        self._to_replay.discard(done.name)
        return adapter.validate_python(done.result)

    def _keep(self, name: str, kind: StepKind, adapter: TypeAdapter[Any], value: Any) -> Any:
        stored = adapter.dump_python(value, mode="json")
        with self.guard.lifted(), ledger():
            record_step(lock_held(self.job_id, self.token), name=name, kind=kind, result=stored)
            failpoint(f"in_step:{name}")
        failpoint(f"after_step:{name}")
        return adapter.validate_python(stored)

    def _refuse_in_atomic(self, name: str) -> None:
        if connection.in_atomic_block:
            raise HandlerMisuse(f"{name!r} would wait inside a transaction: suspend outside atomic and ctx.commit")

    def _suspended(self) -> Suspended:
        self.suspended = True
        return Suspended()


def _moment(name: str, until: datetime | timedelta | float) -> datetime | Combinable:
    if isinstance(until, datetime):
        if is_naive(until):
            raise HandlerMisuse(f"{name!r} sleeps until a time without a time zone")
        return until
    return answers.from_now(until if isinstance(until, timedelta) else timedelta(seconds=until))


_RULING: TypeAdapter[Any] = TypeAdapter(Ruling)


def _adapter(fn: Callable[..., Any]) -> TypeAdapter[Any]:
    """How this function's result is stored and read back, by its return annotation."""
    return _adapter_of(get_type_hints(getattr(fn, "func", fn)).get("return", Any))


@lru_cache(maxsize=512)
def _adapter_of(result: Any) -> TypeAdapter[Any]:
    """Kept by type: kept by function, closures would pile up with all they hold."""
    return TypeAdapter(result)
