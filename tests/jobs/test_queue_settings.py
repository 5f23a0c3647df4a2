"""Settings of single queues, changed in the admin without a restart; and what is said of wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.test import Client as Browser

from accounts.models import AuditEntry
from jobs import checks, queue_settings
from jobs.context import timeout_seconds
from jobs.models import Job
from jobs.models_metrics import QueueSettings
from jobs.operations.enqueue import enqueue
from jobs.registry import JobType
from jobs.testing import run_next
from jobs.transport import connect
from queueproject.env import QueueDefaults
from tests.jobs.kinds import ECHO, FAIL, STUCK, Plan
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

Config = Callable[..., None]


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    queue_settings.forget()
    yield
    queue_settings.forget()


@pytest.fixture
def admin(client: Browser) -> Browser:
    client.force_login(User.objects.create_superuser("admin"))
    return client


def change(admin: Browser, **fields: object) -> int:
    """Make the row of queue ``system`` in the admin; the answer's status."""
    return admin.post("/admin/jobs/queuesettings/add/", {"queue": "system", **fields}).status_code


def test_a_change_in_the_admin_holds_at_once_and_is_audited(admin: Browser) -> None:
    assert enqueue(ECHO, Plan()).max_attempts == 3
    assert change(admin, max_attempts=7, timeout_seconds=12) == 302
    job = enqueue(ECHO, Plan())
    assert (job.max_attempts, timeout_seconds(job)) == (7, 12.0)
    entry = AuditEntry.objects.get(action="queue_settings.changed")
    assert (entry.actor_label, entry.data["queue"], entry.data["max_attempts"]) == ("admin", "system", 7)


def test_another_process_sees_a_change_after_a_while(config: Config) -> None:
    config(queue_settings_seconds=0.01)
    assert queue_settings.of("system").max_attempts is None
    QueueSettings.objects.create(queue="system", max_attempts=9)
    wait_until(lambda: queue_settings.of("system").max_attempts == 9)
    assert enqueue(ECHO, Plan()).max_attempts == 9


def test_a_queues_settings_go_before_the_types_and_the_jobs_own_before_both() -> None:
    QueueSettings.objects.create(queue="system", timeout_seconds=12, max_attempts=5)
    assert timeout_seconds(enqueue(STUCK, Plan())) == 12.0
    assert enqueue(STUCK, Plan()).max_attempts == 5
    assert enqueue(STUCK, Plan(), max_attempts=2).max_attempts == 2


def test_a_failed_attempt_waits_as_its_queue_says() -> None:
    QueueSettings.objects.create(queue="system", backoff_seconds=1000, backoff_cap_seconds=1000)
    job = enqueue(FAIL, Plan())
    run_next()
    retried = job.events.get(event="job.retried")
    assert 500 <= (retried.data or {})["after_seconds"] <= 1000


def test_the_environment_may_say_the_same_and_the_admin_goes_before_it(config: Config) -> None:
    said = QueueDefaults(timeout_seconds=12, backoff_seconds=1000, backoff_cap_seconds=1000)
    config(queue_settings={"system": said})
    queue_settings.forget()
    job = enqueue(FAIL, Plan())
    assert timeout_seconds(job) == 12.0
    run_next()
    assert 500 <= (job.events.get(event="job.retried").data or {})["after_seconds"] <= 1000
    QueueSettings.objects.create(queue="system", timeout_seconds=7)
    queue_settings.forget()
    assert timeout_seconds(job) == 7.0


def test_contradicting_and_unknown_settings_are_refused(admin: Browser) -> None:
    assert change(admin, backoff_seconds=10, backoff_cap_seconds=1) == 200
    assert change(admin, max_attempts=0) == 200
    assert change(admin, queue="no_such_queue") == 200
    assert not QueueSettings.objects.exists()


def test_redis_that_evicts_or_lets_anyone_in_is_warned_of(config: Config) -> None:
    assert [*checks.redis_keeps_tickets(), *checks.redis_has_a_password()] == []
    config(debug=False, redis_url="redis://127.0.0.1:6379/0")
    assert [warning.id for warning in checks.redis_has_a_password()] == ["jobs.W002"]
    config(redis_url="redis://:secret@127.0.0.1:6379/0")
    assert checks.redis_has_a_password() == []


def test_a_policy_of_eviction_is_warned_of(config: Config) -> None:
    config(debug=False)
    redis = connect()
    assert checks.redis_keeps_tickets() == []
    redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert [warning.id for warning in checks.redis_keeps_tickets()] == ["jobs.W001"]
    finally:
        redis.config_set("maxmemory-policy", "noeviction")


def test_a_job_type_on_a_queue_that_nobody_serves_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.queues_are_served() == []
    lost = object.__new__(JobType)
    object.__setattr__(lost, "name", "lost")
    object.__setattr__(lost, "queue", "nowhere")
    monkeypatch.setattr(checks, "versions", lambda: {("lost", 1): lost})
    assert [error.id for error in checks.queues_are_served()] == ["jobs.E001"]
    for process in ("worker", "scheduler"):
        with pytest.raises(SystemCheckError, match=r"jobs\.E001"):
            call_command(process, skip_checks=False)


def test_jobs_of_other_queues_are_left_alone() -> None:
    QueueSettings.objects.create(queue="llm", max_attempts=9)
    assert Job.objects.get(pk=enqueue(ECHO, Plan()).pk).max_attempts == 3


def test_a_database_that_forgets_what_it_committed_is_warned_of() -> None:
    off = {message.msg for message in checks.commits_are_kept()}
    trusting = {"fsync", "full_page_writes"} if connection.vendor == "postgresql" else set()  # see tests/servers.py
    assert off == {f"PostgreSQL runs with {name} = off." for name in trusting}
