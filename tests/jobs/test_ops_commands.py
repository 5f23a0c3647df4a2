"""Operating from a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuditEntry
from jobs.models import Job
from jobs.operations import leases
from jobs.operations.enqueue import enqueue
from jobs.pauses import pauses
from jobs.states import Status
from jobs.testing import run_until_idle
from tests.jobs.kinds import ECHO, FAIL, Plan

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    yield
    pauses.forget()


def said(*command: Any) -> str:
    out = StringIO()
    call_command(*map(str, command), stdout=out, stderr=out)
    return out.getvalue()


def row(table: str, first: str) -> list[str]:
    return next(line.split() for line in table.splitlines() if line.startswith(first))


def test_queues_are_a_table_and_a_paused_one_says_since_when() -> None:
    leases.register(name="w", queues=["system"], slots=3)
    enqueue(ECHO, Plan())
    enqueue(ECHO, Plan(), delay=timedelta(hours=1))
    assert said("queues").split()[:6] == ["queue", "workers", "slots", "scheduled", "pending", "queued"]
    assert row(said("queues"), "system") == ["system", "1", "3", "1", "0", "1", "0", "0", "0", "0", "0", "-"]
    assert "system is paused since" in said("queues", "pause", "system", "--wait")
    assert row(said("queues"), "system")[-1] != "-"
    said("queues", "resume", "system")
    assert row(said("queues"), "system")[-1] == "-"
    with pytest.raises(CommandError, match="there is no queue 'nowhere'"):
        said("queues", "pause", "nowhere")


def test_workers_are_a_table_too() -> None:
    assert "No worker is alive" in said("workers")
    leases.register(name="w.1", queues=["system", "llm"], slots=3)
    assert row(said("workers"), "w.1")[:5] == ["w.1", "system,llm", "0", "3", "0"]
    said("workers", "pause", "w.1")
    assert row(said("workers"), "w.1")[-1] != "-"
    said("workers", "resume", "w.1")
    assert row(said("workers"), "w.1")[-1] == "-"


def test_a_dead_job_is_found_looked_at_and_retried_with_another_payload() -> None:
    job = enqueue(FAIL, Plan(do="permanent"))
    run_until_idle()
    assert str(job.public_id) in said("jobs", "list", "--status", "dead", "--queue", "system")
    assert str(job.public_id) not in said("jobs", "list", "--status", "queued")
    shown = said("jobs", "show", job.public_id)
    assert "no_way" in shown
    assert "job.dead" in shown
    assert "Traceback" not in shown
    with pytest.raises(CommandError, match=r"seconds: Input should be"):
        said("jobs", "retry", job.public_id, "--payload", json.dumps({"seconds": "x"}))
    assert "queued" in said("jobs", "retry", job.public_id, "--payload", json.dumps({"do": "recover"}))
    assert "no worker listens" in said("jobs", "show", job.public_id)
    run_until_idle()
    assert "runs as" in said("jobs", "again", job.public_id)
    assert "removed" in said("jobs", "remove", job.public_id)
    assert [entry.data["via"].partition(":")[0] for entry in AuditEntry.objects.all()] == ["console"] * 3


def test_jobs_are_called_off_promoted_and_put_first() -> None:
    first, second = enqueue(ECHO, Plan()), enqueue(ECHO, Plan(), delay=timedelta(hours=1))
    assert "runs within a tick" in said("jobs", "promote", second.public_id)
    assert "priority -1" in said("jobs", "priority", "--", "-1", first.public_id)
    said("jobs", "cancel", first.public_id, second.public_id)
    assert set(Job.objects.values_list("status", flat=True)) == {Status.CANCELLED}
    with pytest.raises(CommandError, match="has ended"):
        said("jobs", "cancel", first.public_id)
    with pytest.raises(CommandError, match="there is no job x"):
        said("jobs", "show", "x")


def test_one_refusal_does_not_keep_the_others_from_being_tried_and_all_are_told() -> None:
    first, ended, last = (enqueue(ECHO, Plan()) for _ in range(3))
    said("jobs", "cancel", ended.public_id)
    out = StringIO()
    with pytest.raises(CommandError) as refused:
        call_command("jobs", "cancel", str(first.public_id), "x", str(ended.public_id), str(last.public_id), stdout=out)
    assert out.getvalue() == f"{first.public_id}: cancelled\n{last.public_id}: cancelled\n"
    assert str(refused.value).splitlines() == [
        "x: there is no job x",
        f"{ended.public_id}: the request has ended: cancelled",
    ]
    assert refused.value.returncode == 1


def test_a_queue_is_drained_only_with_a_yes() -> None:
    enqueue(ECHO, Plan())
    with pytest.raises(CommandError, match="1 jobs wait in system"):
        said("drain", "system")
    assert Job.objects.get().status == Status.QUEUED
    assert said("drain", "system", "--yes") == "1 requests were called off.\n"
    assert Job.objects.get().status == Status.CANCELLED
