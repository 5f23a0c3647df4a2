"""Any order of the queue's operations, on the real tables: after each the invariants hold, and all can still end.

Workers are rows here, and what runs is what the test says: claimed, failed, waiting for children, answers and times,
paused, taken back.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.management.color import no_style
from django.db import connection
from django.db.models.functions import Now
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jobs import invariants, limits, queue_settings
from jobs.clock import in_seconds
from jobs.errors import Conflict, Invalid
from jobs.events.ledger import ledger
from jobs.models import Job, Wait, Worker
from jobs.models_dependencies import Dependency, IfDead
from jobs.models_limits import Limit
from jobs.models_metrics import QueueSettings
from jobs.operations import admitting, answers, dispatch, leases, permits, waits
from jobs.operations.controls import cancel, revive
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.operations.leases import CancelRequested, LeaseLost
from jobs.operations.operator import Operator
from jobs.operations.outcomes import Ended, How, settle
from jobs.operations.queues import pause_queue, resume_queue
from jobs.operations.transitions import lock
from jobs.pauses import pauses
from jobs.registry import Call, JobType
from jobs.scheduler.called_off import run_called_off
from jobs.scheduler.due import run_due, run_released
from jobs.scheduler.expiry import run_expiry
from jobs.states import FINAL, Status
from jobs.transport import Ticket, connect, parse, queue_key
from tests.jobs.kinds import CHILD, ECHO, PARENT, Plan
from tests.proof import FULL

pytestmark = pytest.mark.django_db(transaction=True)

ROOMS = ("jobs", "approvals", "games")
QUEUES = ("system", "player_actions", "llm")
LIMITS = ("model", "model/a", *(limits.QUEUE + queue for queue in QUEUES))
OPERATOR = Operator(user=None, via="test")
MOST_TURNS = 60
CHECK_EVERY = 1 if FULL else 4
"""Steps: most of what this costs is asking for all invariants. What breaks one stays, but for a permit too many."""

which = st.integers(min_value=0, max_value=5)


class Queue(RuleBasedStateMachine):
    """``claims`` is what workers think they hold, rightly or not."""

    def __init__(self) -> None:
        super().__init__()
        empty()
        self.owner = User.objects.get()
        self.asked: dict[str, Job] = {}
        self.claims: list[Job] = []
        self.tickets: list[Ticket] = []
        self.workers = [leases.register(name=name, queues=QUEUES, slots=3).pk for name in "ab"]
        self.steps = 0

    # -- callers -------------------------------------------------------------------------------------------------

    @rule(
        job_type=st.sampled_from([ECHO, PARENT]),
        ordering_key=st.sampled_from(["", "lane:a", "lane:b"]),
        scope=st.sampled_from(["", "test:1"]),
        delay=st.sampled_from([None, timedelta(hours=1)]),
        expires_in=st.sampled_from([None, timedelta(hours=1)]),
        concurrency_key=st.sampled_from(["", "model/a", "model/b"]),
    )
    def ask(self, job_type: JobType, **options: Any) -> None:
        job = enqueue(job_type, Plan(), **options)
        self.asked[str(job.public_id)] = job

    @rule(
        job_type=st.sampled_from([ECHO, PARENT]),
        key=st.sampled_from(["", "model", "model/a", "model/b"]),
        count=st.integers(2, 4),
    )
    def ask_for_some(self, job_type: JobType, key: str, count: int) -> None:
        jobs = enqueue_many(job_type, [Plan()] * count, concurrency_key=key)
        self.asked |= {str(job.public_id): job for job in jobs}

    @rule(key=st.sampled_from("kl"), text=st.sampled_from("xy"))
    def ask_with_a_key(self, key: str, text: str) -> None:
        with suppress(Conflict):  # the key was used with the other text
            job = enqueue(ECHO, Plan(text=text), owner=self.owner, idempotency_key=key, scope="test:1")
            assert self.asked.setdefault(key, job).pk == job.pk

    @rule(
        which=which,
        lane=st.sampled_from(["", "lane:a", "lane:b"]),
        delay=st.sampled_from([None, timedelta(hours=1)]),
        if_dead=st.sampled_from(IfDead),
    )
    def ask_behind_another(self, which: int, lane: str, delay: timedelta | None, if_dead: IfDead) -> None:
        open_ = list(Job.objects.open().roots().order_by("id"))
        if open_:
            on = open_[which % len(open_)]
            with suppress(Invalid):  # it would wait for one that comes after it
                job = enqueue(ECHO, Plan(), depends_on=[on], if_dead=if_dead, ordering_key=lane, delay=delay)
                self.asked[str(job.public_id)] = job

    @rule(which=which)
    def call_off(self, which: int) -> None:
        self._on_a_root(which, cancel)

    @rule(which=which)
    def call_off_a_child(self, which: int) -> None:
        children = list(Job.objects.filter(parent__isnull=False).order_by("id").values_list("pk", flat=True))
        if children:
            with suppress(Conflict):
                cancel(children[which % len(children)])

    @rule(which=which)
    def run_again(self, which: int) -> None:
        self._on_a_root(which, revive)

    # -- workers -------------------------------------------------------------------------------------------------

    @rule(queue=st.sampled_from(QUEUES))
    def pop(self, queue: str) -> None:
        raw = connect().lpop(queue_key(queue))
        assert raw is None or isinstance(raw, bytes)
        if raw and (ticket := parse(raw)):
            self.tickets.append(ticket)

    @precondition(lambda self: self.tickets)
    @rule(which=which, worker=st.integers(0, 1), keep=st.booleans())
    def claim(self, which: int, worker: int, keep: bool) -> None:
        """``keep``: the ticket was doubled, and comes again."""
        ticket = self.tickets[which % len(self.tickets)]
        if not keep:
            self.tickets.remove(ticket)
        self.claims += leases.claim([ticket], worker_id=self.workers[worker])

    @rule(worker=st.integers(0, 1), limit=st.integers(1, 3))
    def poll(self, worker: int, limit: int) -> None:
        self.claims += leases.claim_next(QUEUES, limit=limit, worker_id=self.workers[worker])

    @precondition(lambda self: self.claims)
    @rule(which=which, how=st.sampled_from(How), forget=st.booleans())
    def end(self, which: int, how: How, forget: bool) -> None:
        """``forget`` false: the reply was lost, or the worker was paused, and it ends the same claim again."""
        job = self.claims[which % len(self.claims)]
        if forget:
            self.claims.remove(job)
        mine = Job.objects.filter(pk=job.pk, token=job.token, status=Status.RUNNING).exists()
        assert settle([ended(job, how)]) == ({job.pk} if mine else set())

    @precondition(lambda self: self.claims)
    @rule(which=which, count=st.integers(1, 2))
    def wait_for_children(self, which: int, count: int) -> None:
        """Of a request, or of a child of one: three generations."""
        job = self.claims[which % len(self.claims)]
        if job.type == PARENT.name or (job.type == CHILD.name and job.parent_id == job.root_id):
            calls = [(f"ask.{job.run}.{job.token}.{n}", Call(CHILD)) for n in range(count)]
            self._wait(job, lambda: waits.gather(job.pk, job.token, name="ask", calls=calls))

    @precondition(lambda self: self.claims)
    @rule(which=which)
    def sleep(self, which: int) -> None:
        job = self.claims[which % len(self.claims)]
        an_hour = in_seconds(3600)
        self._wait(job, lambda: answers.sleep(job.pk, job.token, name=f"nap.{job.token}", until=an_hour))

    @precondition(lambda self: self.claims)
    @rule(which=which, timeout=st.sampled_from([None, timedelta(hours=1)]))
    def wait_for_an_answer(self, which: int, timeout: timedelta | None) -> None:
        job = self.claims[which % len(self.claims)]
        self._wait(job, lambda: answers.receive(job.pk, job.token, name=f"news.{job.token}", timeout=timeout))

    def _wait(self, job: Job, wait: Callable[[], object]) -> None:
        self.claims.remove(job)
        with suppress(LeaseLost, CancelRequested):
            wait()

    @rule(which=which, early=st.integers(0, 2))
    def answer(self, which: int, early: int) -> None:
        """To what is waited for, or will be after so many claims."""
        open_ = list(Job.objects.open().order_by("id").values_list("pk", flat=True))
        if open_:
            with ledger() as book:
                job = lock([open_[which % len(open_)]]).popitem()[1]
                answers.give(book, job, name=f"news.{job.token + early}", answer=which)

    @rule()
    def time_passes(self) -> None:
        Wait.objects.filter(due_at__isnull=False).update(due_at=Now() - timedelta(seconds=1))
        answers.wake(10)

    @rule(worker=st.integers(0, 1))
    def shut_down(self, worker: int) -> None:
        leases.hand_back(leases.claims_of(self.workers[worker]))

    @rule(worker=st.integers(0, 1), comes_back=st.booleans())
    def lease_runs_out(self, worker: int, comes_back: bool) -> None:
        """What a worker claimed it goes on with: whether it was paused or killed shows when it ends, or doesn't."""
        Worker.objects.filter(pk=self.workers[worker]).update(lease_until=Now() - timedelta(hours=1))
        leases.rescue()
        leases.bury()
        if not comes_back or not leases.beat(self.workers[worker]):
            self.workers[worker] = leases.register(name="again", queues=QUEUES, slots=3).pk

    # -- operators -----------------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(LIMITS), most=st.sampled_from([None, 1, 1, 2, 3]))
    def limit(self, name: str, most: int | None) -> None:
        if name.startswith(limits.QUEUE):
            queue = name.removeprefix(limits.QUEUE)
            QueueSettings.objects.update_or_create(queue=queue, defaults={"concurrency": most})
        else:
            Limit.objects.update_or_create(key=name, defaults={"concurrency": most})
        queue_settings.forget()
        with ledger():
            admitting.lock({name: most})  # as the next claim would: whom that lets in is held to it already

    @initialize(most=st.tuples(st.integers(1, 2), st.integers(1, 2)))
    def some_who_wait_for_permits(self, most: tuple[int, int]) -> None:
        self.limit("model", most[0])
        self.limit(f"{limits.QUEUE}system", most[1])
        self.ask_for_some(PARENT, "model/a", 3)
        self.ask_for_some(ECHO, "", 4)

    @rule(queue=st.sampled_from(QUEUES))
    def pause(self, queue: str) -> None:
        pause_queue(queue, by=OPERATOR)

    @rule(queue=st.sampled_from(QUEUES))
    def resume(self, queue: str) -> None:
        resume_queue(queue, by=OPERATOR)

    @rule()
    def let_in(self) -> None:
        """Then who is held back is so for a reason, unless there is a free slot of another limit on the way to him."""
        permits.let_in_all()
        for name, queue in Job.objects.exclude(held_back_by="").values_list("held_back_by", "queue").distinct():
            coming = Job.objects.ready(queue).exists() or queue in pauses.queues()
            assert coming or invariants.holders(name) >= (limits.most(name) or 0)

    # -- scheduler and Redis -------------------------------------------------------------------------------------

    @rule()
    def due(self) -> None:
        Job.objects.filter(status=Status.SCHEDULED).update(scheduled_at=Now() - timedelta(seconds=1))
        run_due()
        run_released()
        run_called_off()

    @rule()
    def expire(self) -> None:
        Job.objects.filter(expires_at__isnull=False).update(expires_at=Now() - timedelta(seconds=1))
        run_expiry()

    @rule(queue=st.sampled_from(QUEUES))
    def refill(self, queue: str) -> None:
        dispatch.refill(queue)

    @rule(queue=st.sampled_from(QUEUES))
    def lose_tickets(self, queue: str) -> None:
        connect().delete(queue_key(queue))
        dispatch.clear_marks(queue)

    # -- what must hold ------------------------------------------------------------------------------------------

    @invariant()
    def the_record_holds(self) -> None:
        self.steps += 1
        if self.steps % CHECK_EVERY == 0:
            self._check()

    @invariant()
    def nobody_has_a_permit_too_many(self) -> None:
        assert not invariants.permits_stay_within_limits()

    @staticmethod
    def _check() -> None:
        assert invariants.broken(liveness=False) == {}

    @invariant()
    def nothing_is_lost(self) -> None:
        wanted = {job.pk for job in self.asked.values()}
        assert Job.objects.filter(pk__in=wanted).count() == len(wanted)

    @invariant()
    def nobody_runs_in_spite(self) -> None:
        """Of what it depended on. What ran a second time may have come to a result in between."""
        failed = Dependency.objects.filter(if_dead=IfDead.CANCEL, on__status__in=FINAL - {Status.COMPLETED}, on__run=1)
        assert not failed.filter(job__started_at__isnull=False).exists()

    def teardown(self) -> None:
        """One worker and the scheduler, without Redis, bring everything to an end, in queues that are not paused."""
        for queue in QUEUES:
            self.resume(queue)
        for _ in range(MOST_TURNS):
            Worker.objects.exclude(pk=self.workers[0]).update(lease_until=Now() - timedelta(hours=1))
            leases.hand_back(leases.claims_of(self.workers[0]))
            leases.rescue()
            self.due()
            self.time_passes()
            for job in Job.objects.filter(status=Status.WAITING).order_by("id"):
                self._answer_all(job)
            jobs = self._claim_what_may_run() + self._claim_what_may_run()
            self.the_record_holds()
            for job in jobs:
                settle([ended(job, How.DONE)])
            if not jobs and not Job.objects.open().exists():
                break
        assert not list(Job.objects.exclude(status__in=FINAL).values("id", "status"))
        self._check()

    def _claim_what_may_run(self) -> list[Job]:
        self.let_in()
        return leases.claim_next(QUEUES, limit=50, worker_id=self.workers[0])

    @staticmethod
    def _answer_all(job: Job) -> None:
        for name in list(job.waits.filter(state="open", awaited_at__isnull=False).values_list("name", flat=True)):
            with ledger() as book:
                answers.give(book, lock([job.pk])[job.pk], name=name, answer=None)

    @staticmethod
    def _on_a_root(which: int, act: Callable[[int], object]) -> None:
        roots = list(Job.objects.roots().order_by("id").values_list("pk", flat=True))
        if roots:
            with suppress(Conflict):
                act(roots[which % len(roots)])


def ended(job: Job, how: How) -> Ended:
    error = {} if how in (How.DONE, How.REJECTED, How.CANCELLED) else {"code": "test", "detail": "as the test says"}
    of = {"job_id": job.pk, "token": job.token, "lane_id": job.lane_id, "parent_id": job.parent_id}
    return Ended(**of, how=how, result=None, error=error)  # type: ignore[arg-type]


def empty() -> None:
    """A fresh record and a fresh Redis."""
    tables = [model._meta.db_table for room in ROOMS for model in apps.get_app_config(room).get_models()]
    connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), tables, allow_cascade=True))
    connect().flushall()
    queue_settings.forget()
    pauses.forget()


@pytest.fixture
def owner() -> User:
    return User.objects.create_user("ann")


def test_no_order_of_operations_breaks_an_invariant_or_leaves_a_job_behind(
    owner: User, config: Callable[..., None]
) -> None:
    config(queue_settings_seconds=0.001)  # for so long after a change nobody is blamed
    run_state_machine_as_test(
        Queue,
        settings=settings(
            max_examples=100 if FULL else 4,
            stateful_step_count=40 if FULL else 20,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
