"""The ports that upper rooms fill when Django is ready: job types, waits, scopes, ticks, queues of people.

Declarations only: a job type names its handler by a dotted path that nobody but ``jobs.execution`` resolves,
so a web process never imports a handler, and nothing that arrives through Redis can name code to run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, TypeAdapter

from jobs.tags import mistake as tags_mistake
from jobs.workflows import Workflow, WorkflowPayload

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

    from jobs.events.ledger import Ledger
    from jobs.models import Job


@dataclass(frozen=True, kw_only=True)
class JobType:
    """What can be asked of the queue: its payload, its result, where it runs and what runs it.

    ``handler`` is ``"package.module:function"``. ``started_event`` is the numbered event that the first claim of a
    child writes in its root's scope (``llm.processing``); roots write ``request.processing`` instead.
    ``timeout_seconds`` and ``max_attempts`` of ``None`` take the settings' defaults; ``backoff`` lists the seconds
    before each further attempt (the last one repeats), ``None`` is exponential. ``isolate``: the handler runs in a
    process of its own, which can be killed and limited. ``concurrency_key``: see ``enqueue``. ``tags``: all its jobs
    have them. ``internal``: only code asks for it, because what it does rests on checks that the asking code makes;
    operators neither add nor schedule it.

    A handler that would do other steps than before is declared as the next ``version``, beside the one that jobs in
    flight began with; that one can go when ``manage.py check --deploy`` no longer names it.
    """

    name: str
    queue: str
    payload: type[BaseModel]
    result: Any
    handler: str
    version: int = 1
    max_attempts: int | None = None
    timeout_seconds: float | None = None
    backoff: tuple[float, ...] | None = None
    isolate: bool = False
    started_event: str = ""
    workflow: Workflow | None = None
    concurrency_key: str = ""
    tags: tuple[str, ...] = ()
    internal: bool = False
    adapter: TypeAdapter[Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "adapter", TypeAdapter(self.result))
        if why := tags_mistake(self.tags):
            raise ValueError(f"job type {self.name!r}: its tags are {why}")
        if self.workflow is not None and not issubclass(self.payload, WorkflowPayload):
            raise ValueError(f"workflow {self.name!r}: its payload must be a WorkflowPayload")
        if (self.name, self.version) in _job_types:
            raise ValueError(f"version {self.version} of job type {self.name!r} is declared twice")
        _job_types[self.name, self.version] = self


@dataclass(frozen=True, init=False)
class Call:
    """One of the calls that ``ctx.gather`` makes: ``Call(LLM_REASON, prompt=…)``."""

    job_type: JobType
    payload: dict[str, Any]

    def __init__(self, job_type: JobType, **payload: Any) -> None:
        object.__setattr__(self, "job_type", job_type)
        object.__setattr__(self, "payload", payload)


@dataclass(frozen=True, kw_only=True)
class DecisionPolicy:
    """How a scope wants decisions taken.

    ``ask`` false: nobody is asked, every draft is accepted as it is. ``due_seconds``: how long a person may take
    before ``default`` (``reject`` or ``accept``) is recorded as the system's. ``undo_seconds``: how long a decision
    can be taken back before it settles.
    """

    ask: bool
    due_seconds: float
    default: str
    default_reason: str
    undo_seconds: float = 0.0


@dataclass(frozen=True)
class DecisionAsked:
    """What a handler wants decided: the subject it named, and the version of this draft."""

    job: Job
    subject: str
    version: int
    draft: dict[str, Any]


class DecisionWait(Protocol):
    """Filled by approvals: opens a decision in the transaction that suspends its job."""

    def open(self, book: Ledger, asked: DecisionAsked) -> dict[str, Any] | None:
        """Record the draft in this ledger; return the ruling when nobody needs to be asked, else ``None``.

        Called with the job's row locked. Raises ``PermanentError`` past the last version.
        """

    def withdraw(self, job: Job) -> None:
        """The job ended: close what is open for it. Called with the job's row locked, inside a ledger."""


class ScopeRules(Protocol):
    """Filled by the room that owns a kind of scope; keys are ``"<kind>:<id>"``."""

    def label(self, key: str) -> str:
        """A short name for people."""

    def may_see(self, user: AbstractBaseUser | AnonymousUser, key: str) -> bool: ...

    def may_decide(self, user: AbstractBaseUser | AnonymousUser, key: str) -> bool: ...

    def viewers(self, key: str, users: Collection[int]) -> Mapping[int, bool]:
        """Of these users (by primary key) those who may see the scope, each with whether they may decide there."""

    def visible(self, user: AbstractBaseUser | AnonymousUser) -> Any:
        """The keys this user may see, as a subquery of one text column."""

    def decidable(self, user: AbstractBaseUser | AnonymousUser) -> Any:
        """The keys in which this user may decide, as a subquery of one text column."""

    def page(self, key: str) -> str:
        """The address of its page, if it has one."""

    def decider_online(self, key: str) -> bool:
        """Whether someone who may decide here is connected."""

    def policy(self, key: str) -> DecisionPolicy: ...


@dataclass(frozen=True, kw_only=True)
class QueueStatus:
    """How one queue stands. ``oldest_seconds``: how long the first in it has waited, ``None`` if nobody waits.

    ``people``: those who work on it are people, and nobody expects a process to listen. ``per_minute``: how many it
    has done a minute lately.
    """

    name: str
    depth: int
    oldest_seconds: float | None
    running: int
    delayed: int = 0
    workers: int
    slots: int
    per_minute: float
    paused: bool = False
    people: bool = False


class _Nobodys:
    """``ScopeRules`` of scopes that only code knows of, or whose app is gone."""

    def label(self, key: str) -> str:
        return key

    def may_see(self, user: AbstractBaseUser | AnonymousUser, key: str) -> bool:
        return False

    may_decide = may_see

    def viewers(self, key: str, users: Collection[int]) -> Mapping[int, bool]:
        return {}

    def visible(self, user: AbstractBaseUser | AnonymousUser) -> Any:
        return ()

    decidable = visible

    def page(self, key: str) -> str:
        return ""

    def decider_online(self, key: str) -> bool:
        return False

    def policy(self, key: str) -> DecisionPolicy:
        """There is none: ``LookupError``."""
        raise LookupError(f"no app answers for scopes of kind {key.partition(':')[0]!r}")


_nobodys: ScopeRules = _Nobodys()


Verifier = Callable[[Mapping[str, str], bytes], bool]
"""Whether to believe who sent an answer to a callback, by its headers (any case) and its body as it was sent."""

Tick = Callable[[], float]
"""One bounded batch of a service; returns the seconds until it wants to run again."""

_job_types: dict[tuple[str, int], JobType] = {}
_scopes: dict[str, ScopeRules] = {}
_ticks: dict[str, Tick] = {}
_queues: dict[str, Callable[[], QueueStatus]] = {}
_decisions: list[DecisionWait] = []
_verifiers: dict[str, Verifier] = {}


def job_type(name: str, version: int | None = None) -> JobType:
    """The declared type of this stored name, the newest or of a version; ``KeyError`` if this process knows none."""
    return job_types()[name] if version is None else _job_types[name, version]


def find(name: str, version: int) -> JobType | None:
    """This version of a declared type, if this process knows it."""
    return _job_types.get((name, version))


def job_types() -> dict[str, JobType]:
    """The newest version of each declared type, by name."""
    return {name: _job_types[name, version] for name, version in sorted(_job_types)}


def versions() -> dict[tuple[str, int], JobType]:
    """All versions of all declared types."""
    return dict(_job_types)


def askable() -> dict[str, JobType]:
    """The types that operators may add and schedule, by name."""
    return {name: declared for name, declared in job_types().items() if not declared.internal}


def register_decisions(port: DecisionWait) -> None:
    """Approvals hands over its port, once."""
    _decisions[:] = [port]


def decisions() -> DecisionWait:
    """The port behind ``ctx.decide``; ``LookupError`` when no room fills it."""
    if not _decisions:
        raise LookupError("no app fills the decision port: is 'approvals' in INSTALLED_APPS?")
    return _decisions[0]


def has_decisions() -> bool:
    """Whether a room answers for decisions."""
    return bool(_decisions)


def register_scope(kind: str, rules: ScopeRules) -> None:
    """The room that owns scopes of this kind answers for them."""
    _scopes[kind] = rules


def scope_rules(key: str) -> ScopeRules:
    """Who answers for this scope: nobody sees one of a kind that nobody registered, or decides there."""
    return _scopes.get(key.partition(":")[0], _nobodys)


def scope_kinds() -> dict[str, ScopeRules]:
    """Every kind of scope with its rules."""
    return dict(_scopes)


def register_verifier(name: str, verifier: Verifier) -> None:
    """Someone whose answers ``ctx.callback(…, verifier=name)`` expects proves by this that they are his."""
    _verifiers[name] = verifier


def verifiers() -> dict[str, Verifier]:
    """Those that are registered, by name."""
    return dict(_verifiers)


def register_tick(name: str, tick: Tick) -> None:
    """A service for the scheduler to run."""
    _ticks[name] = tick


def ticks() -> dict[str, Tick]:
    """The services of upper rooms by name."""
    return dict(_ticks)


def register_queue(name: str, read: Callable[[], QueueStatus]) -> None:
    """A queue of another room, whose items are not jobs, to be shown and measured with the others."""
    _queues[name] = read


def queues() -> dict[str, Callable[[], QueueStatus]]:
    """The queues of upper rooms by name."""
    return dict(_queues)
