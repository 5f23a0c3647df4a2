"""Jobs that wait for others, through delays, lanes, deaths and revivals: none waits for ever, none runs in spite."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from jobs import invariants
from jobs.errors import Conflict, Invalid
from jobs.models import Job
from jobs.models_dependencies import Dependency, IfDead
from jobs.operations import upkeep
from jobs.operations.controls import cancel, revive
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.scheduler.due import run_released
from jobs.states import Status
from jobs.testing import run_next, run_until_idle
from tests.jobs import kinds
from tests.jobs.kinds import ECHO, FAIL, Plan
from tests.jobs.unfinished import dies_before_it_looks_elsewhere
from tests.touched import directly, rows_read

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    kinds.ran.clear()


def status(job: Job) -> Status:
    return Status(Job.objects.get(pk=job.pk).status)


def test_an_end_lets_those_run_at_once_who_depend_on_it_in_whatever_lane() -> None:
    first = enqueue(ECHO, Plan(), ordering_key="lane:a")
    head = enqueue(ECHO, Plan(), priority=1, ordering_key="lane:b")
    beside, behind, other = (
        enqueue(ECHO, Plan(), depends_on=[first], ordering_key=lane) for lane in ("lane:a", "lane:b", "lane:c")
    )
    last = enqueue(ECHO, Plan(), depends_on=[first, head], ordering_key="lane:d")
    run_next()
    assert [status(job) for job in (beside, behind, other, last)] == ["queued", "pending", "queued", "pending"]
    run_until_idle()
    assert not Job.objects.open().exists()


@pytest.mark.parametrize("lane", ["", "lane:a"])
@pytest.mark.parametrize(("if_dead", "end"), [(IfDead.CANCEL, Status.CANCELLED), (IfDead.RUN, Status.COMPLETED)])
def test_who_was_delayed_when_what_it_depends_on_died_does_as_it_was_told(
    lane: str, if_dead: IfDead, end: Status
) -> None:
    died = enqueue(FAIL, Plan(do="permanent"))
    job = enqueue(ECHO, Plan(), depends_on=[died], if_dead=if_dead, delay=HOUR, ordering_key=lane)
    later = enqueue(ECHO, Plan(text="later"), depends_on=[job], if_dead=IfDead.RUN)
    run_next()
    assert (status(died), status(job)) == (Status.DEAD, Status.SCHEDULED)
    run_until_idle()
    assert (status(job), status(later)) == (end, Status.COMPLETED)
    assert invariants.broken(liveness=False) == {}


@pytest.mark.parametrize("lane", ["", "lane:a"])
@pytest.mark.parametrize(("if_dead", "end"), [(IfDead.CANCEL, Status.CANCELLED), (IfDead.RUN, Status.COMPLETED)])
def test_who_depends_on_one_that_died_and_on_one_that_is_called_off_with_it_ends_once(
    lane: str, if_dead: IfDead, end: Status
) -> None:
    died = enqueue(FAIL, Plan(do="permanent"), ordering_key=lane)
    between = enqueue(ECHO, Plan(), depends_on=[died], ordering_key=lane)
    last = enqueue(ECHO, Plan(), depends_on=[died, between], if_dead=if_dead, ordering_key=lane)
    run_until_idle()
    assert [status(job) for job in (died, between, last)] == [Status.DEAD, Status.CANCELLED, end]
    assert invariants.broken(liveness=False) == {}


def test_a_lane_that_opens_lets_nobody_run_in_spite_of_one_that_died_elsewhere() -> None:
    head = enqueue(ECHO, Plan(), ordering_key="lane:a")
    died = enqueue(FAIL, Plan(do="permanent"), priority=-1)
    doomed = enqueue(ECHO, Plan(), depends_on=[died], ordering_key="lane:a")
    last = enqueue(ECHO, Plan(), ordering_key="lane:a")
    dies_before_it_looks_elsewhere(run_next)
    run_next()
    assert [status(job) for job in (died, head, doomed)] == [Status.DEAD, Status.COMPLETED, Status.PENDING]
    assert invariants.broken(liveness=False) == {}
    run_released()
    assert (status(doomed), status(last)) == (Status.CANCELLED, Status.QUEUED)


def test_nobody_is_put_before_one_for_whom_it_waits_through_others() -> None:
    late = enqueue(ECHO, Plan(), ordering_key="lane:a", delay=HOUR)
    between = enqueue(ECHO, Plan(), depends_on=[late])
    with pytest.raises(Invalid, match="waits for such a one"):
        enqueue(ECHO, Plan(), ordering_key="lane:a", depends_on=[between])
    enqueue(ECHO, Plan(), ordering_key="lane:b", depends_on=[between])
    behind = enqueue(ECHO, Plan(), ordering_key="lane:b")
    with pytest.raises(Invalid, match="waits for such a one"):
        enqueue(ECHO, Plan(), ordering_key="lane:a", depends_on=[behind])
    run_until_idle()
    assert not Job.objects.open().exists()


def test_two_lanes_do_not_wait_for_each_other_in_a_circle() -> None:
    a, b = (enqueue(ECHO, Plan(), ordering_key=lane, delay=HOUR) for lane in ("lane:a", "lane:b"))
    enqueue(ECHO, Plan(), ordering_key="lane:a", depends_on=[b])
    with pytest.raises(Invalid, match="waits for such a one"):
        enqueue(ECHO, Plan(), ordering_key="lane:b", depends_on=[a])
    run_until_idle()
    assert not Job.objects.open().exists()


def test_who_was_to_run_in_any_case_does_not_wait_for_the_next_run() -> None:
    died = enqueue(FAIL, Plan(do="permanent"), ordering_key="lane:a")
    enqueue(ECHO, Plan(text="head"), ordering_key="lane:a")
    job = enqueue(ECHO, Plan(text="job"), ordering_key="lane:a", depends_on=[died], if_dead=IfDead.RUN)
    run_next()
    assert (status(died), status(job)) == (Status.DEAD, Status.PENDING)
    revive(died.pk, payload={"do": "", "text": "revived"})
    run_until_idle()
    assert not Job.objects.open().exists()
    assert kinds.ran[1:3] == ["head", "job"]


def test_nothing_runs_again_while_those_are_called_off_that_depend_on_it() -> None:
    died = enqueue(FAIL, Plan(do="permanent"))
    enqueue(ECHO, Plan(), ordering_key="lane:a", delay=HOUR)
    job = enqueue(ECHO, Plan(), ordering_key="lane:b", depends_on=[died])
    dies_before_it_looks_elsewhere(run_next)
    assert status(job) == Status.PENDING
    with pytest.raises(Conflict, match="being called off"):
        revive(died.pk)
    run_released()
    assert status(job) == Status.CANCELLED
    revive(died.pk)


def test_a_unique_job_that_runs_again_is_unique_still() -> None:
    job = enqueue(ECHO, Plan(), unique="u")
    cancel(job.pk)
    other = enqueue(ECHO, Plan(), unique="u")
    with pytest.raises(Conflict, match="unique key"):
        revive(job.pk)
    cancel(other.pk)
    revive(job.pk)
    assert enqueue(ECHO, Plan(), unique="u").pk == job.pk


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite does not count what it reads")
def test_who_may_run_now_is_looked_for_among_those_that_depend_on_others_only() -> None:
    first = enqueue(ECHO, Plan())
    enqueue(ECHO, Plan(), depends_on=[first])

    def looked_at(others: int) -> int:
        enqueue_many(ECHO, [Plan()] * others)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE jobs_job, jobs_dependency")
        before = rows_read("jobs_job")
        directly(run_released)
        return rows_read("jobs_job") - before

    assert looked_at(2000) - looked_at(200) < 100


def test_what_a_job_depended_on_is_forgotten_once_it_has_ended() -> None:
    first = enqueue(ECHO, Plan())
    ended, waits = (enqueue(ECHO, Plan(), depends_on=[first]) for _ in range(2))
    cancel(ended.pk)
    upkeep.prune()
    assert Dependency.objects.get().job == waits
