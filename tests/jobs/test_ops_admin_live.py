"""Pausing in the admin, and what a job's page shows while its handler runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry
from jobs.models import Job, QueueControl
from jobs.models_steps import JobLog
from jobs.operations import leases
from jobs.operations.enqueue import enqueue
from jobs.pauses import pauses
from jobs.states import Status
from jobs.testing import run_until_idle
from tests.jobs.kinds import ECHO, Plan

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/admin/jobs/queuecontrol/"


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    yield
    pauses.forget()


def staff(*rights: str) -> Client:
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(user)
    return client


def text(client: Client, page: str = PAGE) -> str:
    return client.get(page).content.decode()


def test_queues_and_workers_are_paused_and_resumed_by_a_button_and_it_is_on_record(config: Callable[..., None]) -> None:
    config(lease_seconds=600)  # pages are slow to come on a busy machine
    client, worker = staff("view_queuecontrol", "pause_queuecontrol"), leases.register(name="w", queues=[], slots=1)
    assert all(f'aria-label="Pause {name}"' in text(client) for name in ("llm", "system", "w"))
    for kind, name in (("queue", "llm"), ("worker", "w")):
        done = client.post(PAGE, {"kind": kind, "name": name, "verb": "pause"}, follow=True).content.decode()
        assert f"The {kind} {name} is paused." in done
        assert f'aria-label="Resume {name}"' in done
    assert QueueControl.objects.filter(paused_by__username="ada").count() == 2
    leases.resign(worker.pk)
    assert "worker, not running" in text(client), "who is paused and gone can be resumed too"
    client.post(PAGE, {"kind": "queue", "name": "llm", "verb": "resume"})
    client.post(PAGE, {"kind": "worker", "name": "w", "verb": "resume"})
    assert not QueueControl.objects.filter(paused_at__isnull=False).exists()
    said = AuditEntry.objects.order_by("id").values_list("action", "data__via")
    assert list(said) == [
        (f"{what}d", "admin") for what in ("queue.pause", "worker.pause", "queue.resume", "worker.resume")
    ]


def test_who_may_only_look_finds_no_button_and_a_stranger_no_page() -> None:
    client = staff("view_queuecontrol")
    assert "aria-label" not in text(client).partition("<table")[2]
    assert client.post(PAGE, {"kind": "queue", "name": "llm", "verb": "pause"}).status_code == 403
    User.objects.get().user_permissions.clear()
    assert client.get(PAGE).status_code == 403


@pytest.mark.parametrize(
    "wrong", [{}, {"kind": "queue", "name": "nowhere", "verb": "pause"}, {"kind": "queue", "verb": "drain"}]
)
def test_what_cannot_be_paused_is_told(wrong: dict[str, str]) -> None:
    client = staff("view_queuecontrol", "pause_queuecontrol")
    assert 'class="error"' in client.post(PAGE, wrong, follow=True).content.decode()
    assert not AuditEntry.objects.exists()


def test_a_jobs_page_shows_its_progress_and_the_end_of_its_log_as_they_are_now() -> None:
    client, job = staff("view_job", "inspect_job"), enqueue(ECHO, Plan())
    live = reverse("admin:jobs_job_live", args=[job.pk])
    page = text(client, f"/admin/jobs/job/{job.pk}/change/")
    assert live in page
    assert "jobs/job.js" in page
    assert "data-open" in text(client, live)
    Job.objects.filter(pk=job.pk).update(progress={"percent": 40})
    JobLog.objects.create(job=job, attempt=1, text="<b>half done</b>")
    shown = text(client, live)
    assert "percent" in shown
    assert "&lt;b&gt;half done" in shown
    run_until_idle()
    ended = text(client, live)
    assert "data-open" not in ended, "an ended job is not asked for again"
    assert Status.COMPLETED.label in ended


def test_progress_and_logs_are_for_those_who_may_see_what_jobs_hold() -> None:
    client, job = staff("view_job"), enqueue(ECHO, Plan())
    Job.objects.filter(pk=job.pk).update(progress={"said": "a secret"})
    JobLog.objects.create(job=job, attempt=1, text="a secret")
    live = reverse("admin:jobs_job_live", args=[job.pk])
    assert "no worker listens" in text(client, live)
    assert "secret" not in text(client, live)
    User.objects.get().user_permissions.clear()
    assert client.get(live).status_code == 403
