"""Every invariant holds over a day in the life of the queue, and each is broken by the row that should break it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from approvals.models import Approval
from approvals.operations import decide
from games.models import Turn
from games.operations import act
from jobs import invariants, queue_settings
from jobs.models import IdempotencyKey, Job, Lane, Scope, Wait, Worker
from jobs.models_events import JobEvent
from jobs.models_limits import Limit
from jobs.models_schedules import Schedule
from jobs.models_steps import JobLog, JobStep
from jobs.models_workflows import Confirmation
from jobs.operations import leases
from jobs.operations.confirmations import confirm
from jobs.operations.controls import cancel
from jobs.operations.enqueue import enqueue
from jobs.operations.schedules import create
from jobs.operations.workflows import start
from jobs.testing import run_next, run_until_idle
from queueproject.stack.commands import PROJECT
from tests.cast import Cast
from tests.jobs.kinds import ECHO, FAIL, PARENT, SLEEP, STEPS, Plan
from tests.workflows.kinds import FIVE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def day(cast: Cast) -> None:
    """Jobs of all fates: done, dead, called off, waiting for a child and for a person, running, behind another."""
    for text in ("I wait", "I open the door"):
        act(user=cast.player1, game=cast.game, text=text)
    enqueue(STEPS, Plan(), scope="test:1", ordering_key="lane:a", owner=cast.dm, idempotency_key="k")
    enqueue(FAIL, Plan(do="permanent"), scope="test:1", ordering_key="lane:a")
    run_until_idle()
    approval = Approval.objects.get(status="pending")
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
    workflow = start(FIVE.name, {}, user=cast.player1)
    run_until_idle()
    confirm(user=cast.player1, request_id=workflow.public_id)
    run_until_idle()
    cancel(enqueue(ECHO, Plan(), scope="test:1").pk)
    enqueue(PARENT, Plan(), scope="test:1")
    run_next()
    worker = leases.register(name="w", queues=["system"], slots=1)
    enqueue(SLEEP, Plan(), ordering_key="lane:b", scope="test:1")
    enqueue(SLEEP, Plan(), ordering_key="lane:b", scope="test:1")
    assert leases.claim_next(["system"], limit=1, worker_id=worker.pk)


def running() -> Job:
    return Job.objects.get(status="running")


def completed() -> Job:
    return Job.objects.filter(type=STEPS.name).get()


def change(found: Job, **columns: object) -> None:
    Job.objects.filter(pk=found.pk).update(**columns)


def pending_end() -> None:
    JobEvent.objects.create(job=running(), event="job.completed")


BREAKS: dict[str, Callable[[], object]] = {
    "ended_is_told_once": pending_end,
    "request_end_is_told_once": lambda: completed().events.filter(event="request.completed").update(event="job.x"),
    "request_start_is_told_once": lambda: JobEvent.objects.create(job=completed(), event="request.processing"),
    "every_claim_has_its_token": lambda: change(running(), token=7),
    "history_is_legal": lambda: completed().events.filter(event="job.started").update(event="job.resumed"),
    "history_ends_where_the_job_stands": lambda: change(running(), status="queued"),
    "columns_fit_the_status": lambda: change(completed(), worker_id=running().worker_id),
    "steps_are_of_attempts_that_were": lambda: JobStep.objects.create(job=running(), name="x", kind="step", attempt=2),
    "places_are_unique": lambda: Job.objects.filter(lane__key="lane:a").update(place=1),
    "only_heads_go_on": lambda: Job.objects.filter(lane__key="lane:b", status="pending").update(status="queued"),
    "nothing_is_pending_for_nothing": lambda: Job.objects.filter(lane__key="lane:b", status="pending").update(place=0),
    "lanes_keep_their_order": lambda: change(completed(), place=Lane.objects.get(key="lane:a").next_place - 1 + 5),
    "nobody_waits_for_nothing": lambda: Job.objects.filter(type=PARENT.name).get().children.update(parent=None),
    "only_who_waits_is_woken": lambda: Wait.objects.create(job=running(), name="x", kind="sleep", awaited_at=Now()),
    "children_end_first": lambda: Job.objects.filter(type=PARENT.name).update(status="dead"),
    "streams_have_no_gaps": lambda: JobEvent.objects.filter(scope__key="test:1", seq=2).delete(),
    "events_stay_in_their_scope": lambda: change(completed(), scope=Scope.objects.create(key="test:2")),
    "keys_belong_to_their_owners": lambda: IdempotencyKey.objects.update(owner=User.objects.create_user("eve")),
    "permits_stay_within_limits": lambda: one_at_a_time(),
    "the_dead_are_found": lambda: Worker.objects.update(lease_until=timezone.now() - timedelta(days=1)),
    "what_is_due_is_done": lambda: enqueue(ECHO, Plan(), scheduled_at=timezone.now() - timedelta(days=1)),
    "workflow_steps_are_told_once": lambda: change_event("workflow.step.progress", event="workflow.step.started"),
    "workflow_steps_are_told_as_they_are": lambda: change_event(
        "workflow.step.started", event="workflow.step.progress"
    ),
    "confirmations_are_by_somebody": lambda: Confirmation.objects.update(confirmed_at=None),
    "nobody_oversleeps": lambda: Wait.objects.create(job=running(), name="x", kind="sleep", due_at=long_ago()),
    "no_tick_is_overdue": lambda: overdue_tick(),
    "nobody_waits_for_the_idle": lambda: left_waiting(),
    "nobody_is_held_back_for_nothing": lambda: left_held_back(),
    "approvals_end_with_their_jobs": lambda: Approval.objects.filter(status="pending").update(run=2),
    "people_are_asked_by_waiting_jobs": lambda: Job.objects.filter(awaiting_approval=True).update(status="queued"),
    "versions_have_no_gaps": lambda: Approval.objects.filter(status="pending").update(version=2),
    "a_version_is_decided_once": lambda: twice(Approval.objects.get(status="settled")),
    "what_holds_was_decided": lambda: Approval.objects.filter(status="settled").update(decision="reject"),
    "rulings_are_what_was_decided": lambda: ruled("someone else's words"),
    "turns_tell_what_was_decided": lambda: Turn.objects.update(narration="someone else's words"),
    "nothing_is_too_large": lambda: change(completed(), result={"text": "x" * 200_000}),
    "no_secret_is_kept": lambda: change(completed(), error={"detail": f"refused: {settings.SECRET_KEY}!"}),
    "approvals_stay_in_their_scope": lambda: Approval.objects.update(scope=Scope.objects.create(key="test:2")),
    "no_decision_is_overdue": lambda: Approval.objects.update(due_at=timezone.now() - timedelta(days=1)),
}


def overdue_tick() -> None:
    spec = {"job_type": ECHO.name, "payload": {}, "interval_seconds": 60}
    create(name="often", fields=spec, by=None)
    Schedule.objects.update(next_at=long_ago())


def left_waiting() -> None:
    """For a day, beside a worker with a free slot."""
    change(enqueue(ECHO, Plan()), queued_at=long_ago())
    Job.objects.filter(queue=ECHO.queue).update(started_at=None)
    Worker.objects.update(slots=9, started_at=long_ago(), lease_until=timezone.now() + timedelta(days=1))


def left_held_back() -> None:
    """For a day, though nobody has the permit."""
    Limit.objects.create(key="slow", concurrency=1, enforced=1, enforced_since=long_ago())
    queue_settings.forget()
    job = enqueue(ECHO, Plan(), queue="assets", concurrency_key="slow/a")
    change(job, held_back_by="slow", ticketed=False, queued_at=long_ago())


def change_event(name: str, *, event: str) -> None:
    JobEvent.objects.filter(event=name).update(event=event)


def long_ago() -> datetime:
    return timezone.now() - timedelta(days=1)


def one_at_a_time() -> None:
    change(running(), concurrency_key="slow/a")
    Job.objects.filter(type=PARENT.name, status="waiting").update(concurrency_key="slow/b")
    Limit.objects.create(key="slow", concurrency=1, enforced=1, enforced_since=long_ago())
    queue_settings.forget()


def ruled(text: str) -> None:
    step = JobStep.objects.filter(kind="decide", name__startswith="ruling.").latest("pk")
    JobStep.objects.filter(pk=step.pk).update(result=(step.result or {}) | {"text": text})


def twice(approval: Approval) -> None:
    entry = approval.decisions.get()
    entry.pk, entry._state.adding = None, True
    entry.save()


def test_they_hold_when_nothing_is_wrong(day: None) -> None:
    output = StringIO()
    call_command("check_invariants", stdout=output)
    assert output.getvalue() == f"All {len(BREAKS)} invariants hold.\n"


def found_by(name: str, break_it: Callable[[], object]) -> bool:
    """Whether an invariant tells of what is broken, after which nothing is."""
    with transaction.atomic():
        break_it()
        found = invariants.breaking(name)
        transaction.set_rollback(True)
    return bool(found)


def test_each_finds_the_row_that_breaks_it(day: None) -> None:
    assert [name for name, break_it in BREAKS.items() if not found_by(name, break_it)] == []


def test_the_command_prints_the_rows_and_fails(day: None) -> None:
    change(completed(), worker_id=running().worker_id)
    output = StringIO()
    with pytest.raises(CommandError, match="1 of"):
        call_command("check_invariants", stdout=output)
    assert output.getvalue().startswith(f"columns_fit_the_status:\n  id={completed().pk}, status=completed, worker_id=")


def test_none_is_left_without_a_break_and_a_line_in_the_documentation() -> None:
    assert set(BREAKS) == set(invariants.names())
    documented = (PROJECT / "docs" / "proof.md").read_text()
    assert [name for name in invariants.names() if f"`{name}`" not in documented] == []


def test_every_secret_is_looked_for_in_every_table_and_not_shown(day: None, config: Callable[..., None]) -> None:
    config(llm_api_key='sk-"quoted"', redis_url="redis://:p%40ssword@localhost/0")
    JobLog.objects.create(job=completed(), attempt=1, text='key sk-"quoted" is wrong')
    change(completed(), result={"said": 'sk-"quoted"'})
    create(name="x", fields={"job_type": ECHO.name, "payload": {"text": "p@ssword"}, "interval_seconds": 60}, by=None)
    found = invariants.broken()["no_secret_is_kept"]
    assert {(row["table"], row["column"], row["setting"]) for row in found} == {
        ("jobs_joblog", "text", "LLM_API_KEY"),
        ("jobs_job", "result", "LLM_API_KEY"),
        ("jobs_schedule", "payload", "REDIS_URL"),
        ("accounts_auditentry", "data", "REDIS_URL"),
    }
    assert "sk-" not in str(found)
