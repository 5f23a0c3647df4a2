"""One thing done to all requests that match, and delayed jobs moved to another time."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts import tokens
from accounts.models import AuditEntry, Scope
from jobs.models import Job
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.states import Status
from jobs.testing import run_until_idle
from tests.jobs.kinds import ECHO, FAIL, Plan

pytestmark = pytest.mark.django_db(transaction=True)


def staff(*rights: str) -> Client:
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    return Client(headers={"Authorization": f"Bearer {tokens.issue(user, 'test', Scope.values)[1]}"})


def post(client: Client, address: str, **body: Any) -> Any:
    return client.post(f"/v1/ops/jobs/{address}", body, content_type="application/json")


def said(*command: Any) -> str:
    out = StringIO()
    call_command("jobs", *map(str, command), stdout=out, stderr=out)
    return out.getvalue()


def statuses(**by: Any) -> list[str]:
    return list(Job.objects.filter(**by).order_by("pk").values_list("status", flat=True))


def test_what_matches_is_called_off_the_oldest_first_and_each_is_on_record() -> None:
    client = staff("view_job", "cancel_job")
    enqueue_many(ECHO, [Plan()] * 3, tags=["vip"])
    enqueue(ECHO, Plan())
    answer = post(client, "matching", verb="cancel", which={"tag": "vip", "status": "queued"}, limit=2)
    assert answer.json() == {"count": 2, "refused": {}}
    assert statuses() == ["cancelled", "cancelled", "queued", "queued"]
    entries = AuditEntry.objects.filter(action="job.cancelled")
    assert entries.count() == 2
    assert len({entry.data["bulk"] for entry in entries}) == 1


def test_what_can_not_be_done_to_some_is_told_and_done_to_the_others() -> None:
    client = staff("view_job", "remove_job")
    enqueue_many(ECHO, [Plan()] * 2, tags=["vip"])
    run_until_idle()
    enqueue(ECHO, Plan(), tags=["vip"])
    answer = post(client, "matching", verb="remove", which={"tag": "vip"}).json()
    assert answer["count"] == 2
    assert list(answer["refused"].values()) == [1]
    assert statuses() == ["queued"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"verb": "cancel", "which": {}},
        {"verb": "cancel", "which": {"tag": ""}},
        {"verb": "cancel"},
        {"verb": "drop", "which": {"tag": "vip"}},
        {"verb": "cancel", "which": {"colour": "red"}},
        {"verb": "cancel", "which": {"tag": "a\0"}},
        {"verb": "cancel", "which": {"tag": "vip"}, "limit": 0},
    ],
)
def test_nothing_is_done_where_it_is_not_said_to_which(wrong: dict[str, Any]) -> None:
    client = staff("view_job", "cancel_job")
    enqueue(ECHO, Plan(), tags=["vip"])
    answer = post(client, "matching", **wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert statuses() == ["queued"]


def test_each_verb_needs_its_own_right() -> None:
    client = staff("view_job", "cancel_job")
    enqueue(ECHO, Plan(), tags=["vip"])
    assert post(client, "matching", verb="remove", which={"tag": "vip"}).status_code == 403
    User.objects.get().user_permissions.clear()
    assert post(client, "matching", verb="cancel", which={"tag": "vip"}).status_code == 404
    assert (
        post(client, f"{Job.objects.get().public_id}/reschedule", scheduled_at="2030-01-01T00:00Z").status_code == 404
    )


def test_a_delayed_job_runs_at_another_time_and_no_other_job_does() -> None:
    client = staff("view_job", "promote_job")
    job, waiting = enqueue(ECHO, Plan(), delay=timedelta(hours=1)), enqueue(ECHO, Plan())
    at = timezone.now().replace(microsecond=0) + timedelta(days=1)
    moved = post(client, f"{job.public_id}/reschedule", scheduled_at=at.isoformat())
    assert moved.status_code == 200
    assert Job.objects.get(pk=job.pk).scheduled_at == at
    assert AuditEntry.objects.get(action="job.rescheduled").data["after"] == at.isoformat()
    assert (
        post(client, f"{waiting.public_id}/reschedule", scheduled_at=at.isoformat()).json()["code"] == "not_scheduled"
    )
    assert post(client, f"{job.public_id}/reschedule", scheduled_at="tomorrow").status_code == 422
    assert "runs at 2020" in said("reschedule", "2020-01-01T00:00", job.public_id)
    assert "not delayed, it is queued" in str(refused("reschedule", "2020-01-01", waiting.public_id))


def refused(*command: Any) -> CommandError:
    with pytest.raises(CommandError) as error:
        said(*command)
    return error.value


def test_the_terminal_acts_on_all_that_match_too() -> None:
    enqueue_many(FAIL, [Plan(do="permanent")] * 3, tags=["vip"])
    run_until_idle()
    assert statuses() == [Status.DEAD] * 3
    assert "done to 2" in said("matching", "revive", "--tag", "vip", "--limit", "2")
    assert statuses() == ["queued", "queued", "dead"]
    assert "not to 1" in said("matching", "promote", "--tag", "vip", "--status", "dead")
    assert "say which jobs" in str(refused("matching", "cancel"))
    assert "whole number" in str(refused("matching", "cancel", "--tag", "vip", "--limit", "0"))
