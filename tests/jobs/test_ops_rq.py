"""RQ's own screens and command line tell what the record says, to superusers."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rq import Queue

from jobs.models import Job, Worker
from jobs.operations import leases
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.states import Status
from jobs.testing import run_until_idle
from jobs.transport import connect
from jobs.worker.rq import RegisteredWorker
from tests.jobs.kinds import ECHO, FAIL, Plan
from tests.processes import database_url

pytestmark = pytest.mark.django_db(transaction=True)

RQ = "/admin/django_rq/dashboard/"
SYSTEM = sorted(settings.QUEUES).index("system")


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def _some_jobs() -> None:
    enqueue_many(ECHO, [Plan()] * 2)
    enqueue(FAIL, Plan(do="permanent"))
    run_until_idle()
    enqueue(ECHO, Plan(), delay=timedelta(hours=1))
    enqueue_many(ECHO, [Plan()] * 3)
    leases.register(name="w", queues=["system"], slots=1)
    Worker.objects.update(lease_until=timezone.now() + timedelta(hours=1))  # rq's command takes longer than a lease


@pytest.mark.usefixtures("_some_jobs")
def test_the_dashboard_counts_what_the_record_has(root: Client) -> None:
    [row] = [row for row in root.get(f"{RQ}stats.json").json()["queues"] if row["index"] == SYSTEM]
    seen = {name: row[f"{name}_jobs"] for name in ("finished", "failed", "scheduled", "started", "deferred")}
    assert (row["name"], row["jobs"], row["workers"]) == ("system", 3, 1)
    assert seen == {"finished": 2, "failed": 1, "scheduled": 1, "started": 0, "deferred": 0}
    page = root.get(RQ).content.decode()
    assert all(queue in page for queue in settings.QUEUES)
    queued = root.get(f"{RQ}queues/{SYSTEM}/").content.decode()
    assert all(str(job.public_id) in queued for job in Job.objects.filter(status=Status.QUEUED))


def test_the_links_of_each_queue_lead_to_it(root: Client) -> None:
    for row in root.get(f"{RQ}stats.json").json()["queues"]:
        answer = root.get(f"{RQ}queues/{row['index']}/failed/")
        assert answer.headers["location"].endswith(f"?queue={row['name']}&status__exact=dead")


@pytest.mark.usefixtures("_some_jobs")
def test_its_lists_lead_to_our_own(root: Client) -> None:
    dead = Job.objects.get(status=Status.DEAD)
    answer = root.get(f"{RQ}queues/{SYSTEM}/failed/", follow=True)
    assert answer.redirect_chain[0][0] == f"{reverse('admin:jobs_job_changelist')}?queue=system&status__exact=dead"
    assert list(answer.context["cl"].result_list) == [dead]
    answer = root.get(f"{RQ}queues/{SYSTEM}/{dead.public_id}/")
    assert answer.headers["Location"] == reverse("admin:jobs_job_change", args=[dead.pk])
    assert root.get(f"{RQ}queues/{SYSTEM}/details/").status_code == 200


def test_workers_are_those_of_the_record_whatever_redis_has_forgotten(root: Client) -> None:
    leases.register(name="vm.77", queues=["system"], slots=1)
    leases.register(name="vm.78", queues=["llm"], slots=1)
    gone = leases.register(name="vm.79", queues=["system"], slots=1)
    Worker.objects.update(lease_until=timezone.now() + timedelta(hours=1))
    leases.resign(gone.pk)
    page = root.get(f"{RQ}workers/{SYSTEM}/").content.decode()
    assert "vm.77" in page
    assert "idle" in page
    assert "vm.78" not in page
    assert "vm.79" not in page
    details = root.get(f"{RQ}workers/{SYSTEM}/rq:worker:vm.77/")
    assert details.headers["Location"] == reverse("admin:jobs_worker_changelist")


def test_nothing_is_done_to_jobs_from_there(root: Client) -> None:
    job = enqueue(ECHO, Plan())
    for page in ("empty/", "requeue-all/", "failed/clear/", f"{job.public_id}/delete/", f"{job.public_id}/enqueue/"):
        assert root.post(f"{RQ}queues/{SYSTEM}/{page}", {"post": "yes"}).status_code == 403, page
    assert root.post(f"{RQ}queues/actions/{SYSTEM}/", {"action": "delete"}).status_code == 403
    assert Job.objects.get().status == Status.QUEUED


def test_what_rq_finds_queues_by_has_those_of_the_workers_that_beat() -> None:
    worker = RegisteredWorker(["system", "llm"], name="w")
    worker.tell()
    with connect() as client:
        assert {"system", "llm"} <= {queue.name for queue in Queue.all(client)}
    worker.leave()


@pytest.mark.integration
@pytest.mark.usefixtures("_some_jobs")
def test_rq_info_counts_what_the_record_has() -> None:
    rq: list[str | Path] = [Path(sys.executable).with_name("rq"), "info", "--raw"]
    rq += ["--queue-class", "jobs.rq.TicketQueue", "--worker-class", "jobs.rq.RecordedWorker"]
    told = subprocess.run(
        [*rq, "--url", settings.CONFIG.redis_url, "--path", settings.BASE_DIR],
        env={**os.environ, "DATABASE_URL": database_url()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "queue system 3, 0 executing, 2 finished, 1 failed" in told.stdout.splitlines()
    queues = {line.split()[1] for line in told.stdout.splitlines() if line.startswith("queue ")}
    assert queues == set(settings.QUEUES)
    assert any(line.startswith("worker w (") for line in told.stdout.splitlines())
