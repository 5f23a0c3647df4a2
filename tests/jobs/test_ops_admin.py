"""Acting on jobs in the admin: after a question, by rights, on record."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry
from jobs.models import Job
from jobs.operations.enqueue import enqueue
from jobs.states import Status
from jobs.testing import run_until_idle
from tests.jobs.kinds import ECHO, FAIL, TELLTALE, Plan

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/jobs/job/"
LETTERS = f"{LIST}dead-letters/"


def staff(*rights: str) -> Client:
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_job", *rights]))
    client = Client()
    client.force_login(user)
    return client


def dead(do: str = "permanent") -> Job:
    job = enqueue(FAIL, Plan(do=do), max_attempts=1)
    run_until_idle()
    return Job.objects.get(pk=job.pk)


def hidden(page: Any) -> dict[str, Any]:
    """What the page that asks would send back."""
    fields: dict[str, Any] = {}
    for name, value in page.context["hidden"]:
        fields.setdefault(name, []).append(value)
    return fields


def audit() -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.order_by("id").values_list("action", "actor_label", "data__via"))


@pytest.mark.parametrize(
    ("right", "action", "status"),
    [
        ("cancel_job", "cancel_jobs", Status.CANCELLED),
        ("revive_job", "revive_jobs", Status.QUEUED),
        ("rerun_job", "run_again", Status.DEAD),
    ],
)
def test_an_action_asks_first_and_is_then_done_and_recorded(right: str, action: str, status: Status) -> None:
    job = enqueue(ECHO, Plan()) if action == "cancel_jobs" else dead()
    client = staff(right)
    asked = client.post(LIST, {"action": action, "_selected_action": [job.pk]})
    assert str(job.public_id) in asked.content.decode()
    assert not AuditEntry.objects.exists()
    done = client.post(LIST, hidden(asked), follow=True)
    assert "done to 1" in done.content.decode()
    assert Job.objects.get(pk=job.pk).status == status
    assert Job.objects.count() == (2 if action == "run_again" else 1)
    assert [entry[1:] for entry in audit()] == [("ada", "admin")]


@pytest.mark.parametrize("action", ["cancel_jobs", "revive_jobs", "run_again"])
def test_without_the_right_there_is_no_such_action(action: str) -> None:
    job = enqueue(ECHO, Plan()) if action == "cancel_jobs" else dead()
    client = staff()
    assert action not in client.get(LIST).content.decode()
    client.post(LIST, {"action": action, "_selected_action": [job.pk], "post": "yes"})
    assert Job.objects.get().status == job.status
    assert not AuditEntry.objects.exists()


def test_one_refusal_stops_none_of_the_others() -> None:
    ended, open_ = dead(), enqueue(ECHO, Plan())
    sent = {"action": "cancel_jobs", "_selected_action": [ended.pk, open_.pk], "post": "yes"}
    page = staff("cancel_job").post(LIST, sent, follow=True).content.decode()
    assert "done to 1" in page
    assert "Not done to 1: the request has ended" in page
    assert Job.objects.get(pk=open_.pk).status == Status.CANCELLED


def test_dead_letters_stand_by_their_cause_and_a_group_is_revived() -> None:
    first, second, other = dead(), dead(), dead("later")
    client = staff("revive_job")
    causes = client.get(LETTERS).context["causes"]
    assert {(cause.fingerprint, cause.count) for cause in causes} == {(first.fingerprint, 2), (other.fingerprint, 1)}
    link = f"{LIST}?status__exact=dead&fingerprint={first.fingerprint}"
    assert set(client.get(link).context["cl"].queryset) == {first, second}
    asked = client.post(LETTERS, {"fingerprint": first.fingerprint, "limit": 1})
    assert Job.objects.filter(status=Status.DEAD).count() == 3
    client.post(LETTERS, hidden(asked))
    assert Job.objects.get(pk=first.pk).status == Status.QUEUED
    assert set(Job.objects.filter(status=Status.DEAD)) == {second, other}
    assert audit() == [("job.revived", "ada", "admin")]
    for wrong in ("0", "x", "", "9" * 30):
        client.post(LETTERS, {"fingerprint": "none", "limit": wrong, "post": "yes"})
    assert len(audit()) == 1


def test_dead_letters_are_only_looked_at_without_the_right() -> None:
    job, client = dead(), staff()
    assert "Revive" not in client.get(LETTERS).content.decode()
    sent = {"fingerprint": job.fingerprint, "limit": 1, "post": "yes"}
    assert client.post(LETTERS, sent).status_code == 403
    assert client.get(f"{LIST}{job.pk}/revive/").status_code == 403
    User.objects.get().user_permissions.clear()
    assert client.get(LETTERS).status_code == 403


def test_what_jobs_hold_is_shown_to_those_with_the_right_only() -> None:
    job = enqueue(TELLTALE, Plan(text="a secret payload"))
    run_until_idle()
    Job.objects.filter(pk=job.pk).update(progress={"said": "a secret"}, result={"said": "a secret"})
    clerk = staff("revive_job")
    revive = reverse("admin:jobs_job_revive", args=[job.pk])
    for page in (f"{LIST}{job.pk}/change/", LETTERS, f"{LIST}?q=payload"):
        shown = clerk.get(page)
        assert shown.status_code == 200
        assert "secret" not in shown.content.decode(), page
    assert not clerk.get(LIST, {"q": "secret"}).context["cl"].result_count
    assert revive not in clerk.get(f"{LIST}{job.pk}/change/").content.decode()
    assert clerk.get(revive).status_code == 403
    User.objects.get().user_permissions.add(Permission.objects.get(codename="inspect_job"))
    page = clerk.get(f"{LIST}{job.pk}/change/").content.decode()
    for said in ("a secret payload", "a secret detail", "a secret line", "a secret step", "said"):
        assert said in page, said
    assert clerk.get(LIST, {"q": "secret"}).context["cl"].result_count == 1
    assert "a secret detail" in clerk.get(LETTERS).content.decode()


def test_a_payload_is_corrected_checked_and_both_are_kept() -> None:
    job, client = dead(), staff("revive_job", "inspect_job")
    page = reverse("admin:jobs_job_revive", args=[job.pk])
    assert page in client.get(f"{LIST}{job.pk}/change/").content.decode()
    assert "permanent" in client.get(page).content.decode()
    for wrong in ("{", "[]", json.dumps({"seconds": "long"}), "[" * 5000, r'{"text": "\ud83d"}'):
        answer = client.post(page, {"payload": wrong})
        assert answer.context["form"].errors, wrong
    assert Job.objects.get().status == Status.DEAD
    answer = client.post(page, {"payload": json.dumps({"do": "echo"})}, follow=True)
    assert "It runs again" in answer.content.decode()
    assert "no worker listens" in answer.content.decode(), "the job's page says why it waits"
    assert Job.objects.get().payload["do"] == "echo"
    entry = AuditEntry.objects.get()
    assert (entry.data["before"]["do"], entry.data["after"]["do"]) == ("permanent", "echo")
    assert client.post(page, {"payload": "{}"}).context["form"].errors, "it is no longer dead"
