"""Operating over HTTP: what it does, and who may."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from accounts import tokens
from accounts.models import AuditEntry
from jobs.models import IdempotencyKey, Job
from jobs.operations import leases
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.pauses import pauses
from jobs.states import Status
from jobs.testing import run_until_idle
from tests.jobs.kinds import ECHO, FAIL, TELLTALE, Plan

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    yield
    pauses.forget()


class Caller:
    """A member of staff with these rights, by a token with these scopes."""

    def __init__(self, *rights: str, staff: bool = True, scopes: tuple[str, ...] = ("read", "operate")) -> None:
        self.user = User.objects.create_user(f"user{User.objects.count()}", is_staff=staff)
        self.user.user_permissions.set(Permission.objects.filter(codename__in=rights))
        self._client = Client(headers={"Authorization": f"Bearer {tokens.issue(self.user, 't', scopes)[1]}"})

    def get(self, path: str, **query: Any) -> Any:
        return self._client.get(f"/v1/ops/{path}", query)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        body = {} if body is None else body
        return self._client.post(f"/v1/ops/{path}", body, content_type="application/json", headers=headers)

    def delete(self, path: str) -> Any:
        return self._client.delete(f"/v1/ops/{path}")


EVERYTHING = [
    *(f"{verb}_job" for verb in ["view", "inspect", "add", "cancel", "revive", "rerun", "promote"]),
    *(f"{verb}_job" for verb in ["reprioritise", "remove"]),
    *(f"{verb}_queuecontrol" for verb in ["view", "pause", "drain", "clean"]),
]
"""The rights there are."""

ACTIONS = [
    ("cancel_job", "jobs/{id}/cancel"),
    ("revive_job", "jobs/{id}/revive"),
    ("rerun_job", "jobs/{id}/run-again"),
    ("promote_job", "jobs/{id}/promote"),
    ("reprioritise_job", "jobs/{id}/priority"),
    ("remove_job", "jobs/{id}"),
    ("add_job", "jobs"),
    ("add_job", "jobs/bulk"),
    ("revive_job", "dead-letters/x/revive"),
    ("pause_queuecontrol", "queues/llm/pause"),
    ("pause_queuecontrol", "queues/llm/resume"),
    ("pause_queuecontrol", "workers/a/pause"),
    ("pause_queuecontrol", "workers/a/resume"),
    ("drain_queuecontrol", "queues/llm/drain"),
    ("clean_queuecontrol", "queues/llm/clean"),
]
BODIES: dict[str, Any] = {
    "jobs": {"type": "test_echo"},
    "jobs/bulk": {"type": "test_echo", "payloads": []},
    "jobs/{id}/priority": {"priority": 1},
    "queues/llm/clean": {"statuses": ["completed"], "older_than_seconds": 1},
}


@pytest.mark.parametrize(("right", "path"), ACTIONS)
def test_each_action_needs_its_own_right(right: str, path: str) -> None:
    job = enqueue(ECHO, Plan())
    caller = Caller(*(each for each in EVERYTHING if each != right))
    where, body = path.format(id=job.public_id), BODIES.get(path)
    refused = caller.delete(where) if right == "remove_job" else caller.post(where, body)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert right in refused.json()["detail"]
    assert Job.objects.get().status == Status.QUEUED
    assert not AuditEntry.objects.exclude(action="token.issued").exists()


def test_who_is_no_staff_finds_nothing_here_and_a_token_for_play_does_nothing() -> None:
    job = enqueue(ECHO, Plan())
    player, reader = Caller(*EVERYTHING, staff=False), Caller(*EVERYTHING, scopes=("read", "play"))
    for path in ("jobs", f"jobs/{job.public_id}", "queues", "workers", "dead-letters"):
        assert player.get(path).status_code == 404, path
        assert reader.get(path).status_code == 200, path
    assert player.post(f"jobs/{job.public_id}/cancel").status_code == 404
    assert reader.post(f"jobs/{job.public_id}/cancel").status_code == 403
    assert Job.objects.get().status == Status.QUEUED


def test_the_life_of_a_job_under_an_operators_hands() -> None:
    staff = Caller(*EVERYTHING)
    asked = {"type": "test_fail", "payload": {"do": "permanent"}, "priority": 7, "delay_seconds": 3600}
    answer = staff.post("jobs", asked, **{"Idempotency-Key": "k"})
    assert answer.status_code == 201
    job_id = answer.json()["id"]
    assert staff.post("jobs", asked, **{"Idempotency-Key": "k"}).json()["id"] == job_id
    assert answer.json()["why_waiting"]["reason"] == "delay"
    assert staff.post(f"jobs/{job_id}/priority", {"priority": 2}).json()["priority"] == 2
    assert staff.post(f"jobs/{job_id}/promote").status_code == 200
    run_until_idle()
    dead = staff.get(f"jobs/{job_id}").json()
    assert (dead["status"], dead["error"]["code"], dead["why_waiting"]) == ("dead", "no_way", None)
    (cause,) = staff.get("dead-letters").json()["items"]
    assert (cause["fingerprint"], cause["count"], cause["request_id"]) == (dead["fingerprint"], 1, job_id)
    wrong = staff.post(f"jobs/{job_id}/revive", {"payload": {"seconds": "x"}})
    assert (wrong.status_code, list(wrong.json()["fields"])) == (422, ["seconds"])
    assert staff.post(f"jobs/{job_id}/revive", {"payload": {"do": "recover"}}).json()["run"] == 2
    run_until_idle()
    again = staff.post(f"jobs/{job_id}/run-again", {})
    assert again.status_code == 201
    assert staff.post(f"jobs/{again.json()['id']}/cancel").json()["status"] == "cancelled"
    kept = staff.delete(f"jobs/{job_id}")
    assert (kept.status_code, kept.json()["code"]) == (409, "needed"), "its idempotency key is still good"
    IdempotencyKey.objects.all().delete()
    assert staff.delete(f"jobs/{job_id}").status_code == 204
    assert staff.get(f"jobs/{job_id}").status_code == 404
    actions = AuditEntry.objects.filter(actor=staff.user, data__via="api").order_by("id")
    assert list(actions.values_list("action", flat=True)) == [
        "job.added",
        "job.added",
        "job.reprioritised",
        "job.promoted",
        "job.revived",
        "job.rerun",
        "job.cancelled",
        "job.removed",
    ]


def test_what_jobs_hold_is_for_those_with_the_right_only() -> None:
    job = enqueue(TELLTALE, Plan(text="the secret payload"))
    run_until_idle()
    Job.objects.filter(pk=job.pk).update(progress={"said": "a secret"}, result={"said": "a secret"})
    staff, clerk = Caller("view_job", "inspect_job"), Caller("view_job", "add_job")
    for path in (f"jobs/{job.public_id}", "jobs", f"jobs/{job.public_id}/timeline", "dead-letters"):
        assert "secret" in staff.get(path).content.decode(), path
        hidden = clerk.get(path)
        assert hidden.status_code == 200
        assert "secret" not in hidden.content.decode(), path
    shown = clerk.get(f"jobs/{job.public_id}").json()
    assert (shown["inspected"], shown["error"], shown["payload"]) == (False, {"code": "no_way"}, None)
    (line,) = staff.get(f"jobs/{job.public_id}/logs").json()["items"]
    assert (line["text"], line["attempt"]) == ("a secret line", 1)
    refused = clerk.get(f"jobs/{job.public_id}/logs")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert "inspect_job" in refused.json()["detail"]


def test_a_timeline_and_logs_come_in_pages() -> None:
    staff, job = Caller(*EVERYTHING), enqueue(TELLTALE, Plan(), max_attempts=1)
    run_until_idle()
    for kind, count in (("timeline", 3), ("logs", 1)):
        seen: list[Any] = []
        after: int | None = 0
        while after is not None:
            page = staff.get(f"jobs/{job.public_id}/{kind}", limit=1, after=after).json()
            seen, after = seen + page["items"], page["next"]
        assert len(seen) == count, kind
    assert staff.get(f"jobs/{job.public_id}/logs", after="x").status_code == 422


@pytest.mark.parametrize("name", ["alert", "player_action", "dm_action", "llm_reason"])
def test_nobody_adds_what_only_the_code_asks_for(name: str) -> None:
    staff = Caller(*EVERYTHING)
    for path, body in (("jobs", {"payload": {}}), ("jobs/bulk", {"payloads": [{}]})):
        answer = staff.post(path, {"type": name, **body})
        assert answer.status_code == 422
        assert name not in answer.json()["fields"]["type"].removeprefix("one of ").split(", ")
    assert not Job.objects.exists()


def test_jobs_come_in_pages_by_status() -> None:
    staff = Caller(*EVERYTHING)
    jobs = enqueue_many(ECHO, [Plan()] * 5)
    enqueue(ECHO, Plan(), ordering_key="lane:a")
    enqueue(ECHO, Plan(), ordering_key="lane:a")
    seen: list[str] = []
    following, pages = None, 0
    while pages == 0 or following:
        query: dict[str, Any] = {"before": following} if following else {}
        page = staff.get("jobs", status="queued", queue="system", limit=2, **query).json()
        seen += [item["id"] for item in page["items"]]
        following, pages = page["next"], pages + 1
    assert (len(seen), len(set(seen)), pages) == (6, 6, 3)
    assert {str(job.public_id) for job in jobs} < set(seen)
    assert len(staff.get("jobs", status="pending").json()["items"]) == 1


def test_a_group_is_revived_a_few_first_then_all() -> None:
    staff = Caller(*EVERYTHING)
    for _ in range(3):
        enqueue(FAIL, Plan(do="permanent"))
    run_until_idle()
    cause = Job.objects.values_list("fingerprint", flat=True)[0]
    assert staff.post(f"dead-letters/{cause}/revive", {"limit": 1}).json() == {"count": 1, "refused": {}}
    assert staff.post(f"dead-letters/{cause}/revive").json()["count"] == 2
    entries = AuditEntry.objects.filter(action="job.revived")
    assert entries.count() == 3
    assert len(set(entries.values_list("data__bulk", flat=True))) == 2


def test_queues_and_workers_are_shown_paused_drained_and_cleaned() -> None:
    staff = Caller(*EVERYTHING)
    leases.register(name="w.1", queues=["system"], slots=4)
    assert staff.post("queues/system/pause").json()["paused_at"]
    assert staff.post("workers/w.1/pause").json()["name"] == "w.1"
    enqueue_many(ECHO, [Plan()] * 3)
    row = next(row for row in staff.get("queues").json()["items"] if row["name"] == "system")
    assert (row["workers"], row["slots"], row["counts"]["queued"]) == (1, 4, 3)
    assert row["paused_at"]
    assert staff.get("workers").json()["items"][0]["paused_at"]
    assert staff.post("queues/system/drain").json() == {"count": 3}
    assert staff.post("queues/system/clean", {"statuses": ["cancelled"], "older_than_seconds": 0}).json() == {
        "count": 3
    }
    assert staff.post("queues/system/resume").json()["paused_at"] is None
    assert staff.post("workers/w.1/resume").json()["paused_at"] is None


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("jobs", {"type": "nothing"}, 422, "type"),
        ("jobs", {"type": "test_echo", "payload": {"seconds": "x"}}, 422, "seconds"),
        ("jobs", {"type": "test_echo", "colour": "red"}, 422, "colour"),
        ("jobs", {"type": "test_echo", "scheduled_at": "2026-01-01T00:00:00"}, 422, "scheduled_at"),
        ("jobs", {"type": "test_echo", "depends_on": ["00000000-0000-7000-8000-000000000000"]}, 422, "depends_on"),
        ("jobs", {"type": "test_echo", "priority": 99999}, 422, "priority"),
        ("jobs/bulk", {"type": "test_echo", "payloads": [{}, {"do": 1}]}, 422, "1.do"),
        ("queues/llm/clean", {"statuses": ["queued"], "older_than_seconds": 0}, 422, "statuses"),
        ("queues/nowhere/pause", {}, 404, ""),
        ("workers/%00/pause", {}, 422, "name"),
        ("jobs/00000000-0000-7000-8000-000000000000/cancel", {}, 404, ""),
    ],
)
def test_wrong_input_is_told_where_it_is_wrong(path: str, body: Any, status: int, field: str) -> None:
    answer = Caller(*EVERYTHING).post(path, body)
    assert answer.status_code == status, answer.content
    assert not field or field in answer.json()["fields"]
    assert not Job.objects.exists()
