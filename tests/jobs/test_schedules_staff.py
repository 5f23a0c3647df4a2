"""Schedules over HTTP and in the admin: whose rights reach how far, and what bad input meets."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from accounts import tokens
from accounts.models import AuditEntry, Scope
from jobs.admin_schedules import ScheduleForm
from jobs.models import Job
from jobs.models_schedules import Schedule
from jobs.operations import ticks
from jobs.operations.schedules import create

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/v1/ops/schedules"
ADMIN = "/admin/jobs/schedule/"
FIELDS = {"job_type": "test_echo", "payload": {"text": "tick"}, "cron": "0 4 * * *", "time_zone": "Europe/Berlin"}
FORM = {
    "name": "nightly",
    **FIELDS,
    "payload": '{"text": "x"}',
    "priority": "0",
    "interval_seconds": "",
    "catch_up": "0",
    "overlap": "allow",
    "ticks-TOTAL_FORMS": "0",
    "ticks-INITIAL_FORMS": "0",
}


def staff(*rights: str) -> User:
    user = User.objects.create_user("ops", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=[f"{right}_schedule" for right in rights]))
    return user


def call(user: User, method: str, path: str = "", body: Any = None, scope: Scope = Scope.OPERATE, key: str = "") -> Any:
    headers = {"Authorization": f"Bearer {tokens.issue(user, 'test', [Scope.READ, scope])[1]}"}
    answer = Client().generic(
        method,
        f"{PATH}{path}",
        json.dumps(body or {}),
        content_type="application/json",
        headers=headers | ({"Idempotency-Key": key} if key else {}),
    )
    return answer.status_code, json.loads(answer.content or b"null")


def test_staff_make_change_pause_run_and_delete_a_schedule_over_http() -> None:
    ops = staff("view", "add", "change", "pause", "run", "delete")
    status, made = call(ops, "POST", "", {"name": "nightly", **FIELDS})
    assert (status, made["time_zone"], made["declared"], len(made["upcoming"])) == (201, "Europe/Berlin", False, 5)
    status, changed = call(ops, "PATCH", "/nightly", {"cron": "", "interval_seconds": 60})
    assert (status, changed["cron"], changed["interval_seconds"], changed["payload"]["text"]) == (200, "", 60, "tick")
    assert call(ops, "POST", "/nightly/pause")[1]["next_at"] is None
    status, asked = call(ops, "POST", "/nightly/run", key="a")
    assert (status, asked["status"]) == (200, "queued")
    assert call(ops, "POST", "/nightly/run", key="a")[1]["request_id"] == asked["request_id"]
    (tick,) = call(ops, "GET", "/nightly/ticks")[1]["items"]
    assert (tick["manual"], tick["request_id"]) == (True, asked["request_id"])
    assert call(ops, "POST", "/nightly/resume")[1]["next_at"] is not None
    assert call(ops, "POST", "/nightly/reset")[1]["code"] == "not_declared"
    assert call(ops, "DELETE", "/nightly") == (204, None)
    assert call(ops, "GET", "/nightly")[0] == 404
    assert set(AuditEntry.objects.filter(action__startswith="schedule.").values_list("actor", flat=True)) == {ops.pk}
    assert Job.objects.count() == 1


def test_the_list_goes_on_page_by_page() -> None:
    for name in ("a", "b", "c"):
        create(name=name, fields=FIELDS, by=None)
    ops = staff("view")
    _, first = call(ops, "GET", "?limit=2")
    assert ([item["name"] for item in first["items"]], first["next"]) == (["a", "b"], "b")
    _, rest = call(ops, "GET", "?limit=2&after=b")
    assert ([item["name"] for item in rest["items"]], rest["next"]) == (["c"], None)


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("GET", "", "view"),
        ("GET", "/nightly", "view"),
        ("GET", "/nightly/ticks", "view"),
        ("POST", "", "add"),
        ("PATCH", "/nightly", "change"),
        ("POST", "/nightly/reset", "change"),
        ("POST", "/nightly/pause", "pause"),
        ("POST", "/nightly/resume", "pause"),
        ("POST", "/nightly/run", "run"),
        ("DELETE", "/nightly", "delete"),
    ],
)
def test_each_action_needs_its_right_and_others_find_nothing(method: str, path: str, right: str) -> None:
    create(name="nightly", fields=FIELDS, by=None)
    body = {"name": "other", **FIELDS} if path == "" else {}
    assert call(User.objects.create_user("player"), method, path, body)[0] == 404
    everything_else = {"view", "add", "change", "delete", "run", "pause"} - {right}
    status = call(staff(*everything_else), method, path, body)[0]
    assert status == (404 if right == "view" else 403)
    assert not Job.objects.exists()
    assert Schedule.objects.get().paused_at is None


def test_staff_schedule_nothing_that_only_the_code_asks_for() -> None:
    ops = staff("view", "add", "change")
    alert = {"incident": 1, "alert": "a", "subject": "s", "detail": "d", "opened_at": "now"}
    spec = {**FIELDS, "job_type": "alert", "payload": alert}
    assert call(ops, "POST", "", {"name": "nightly", **spec})[1]["fields"].keys() == {"job_type"}
    create(name="nightly", fields=spec, by=None)  # as the code may
    assert call(ops, "PATCH", "/nightly", {"cron": "0 5 * * *"})[0] == 200
    for change in ({"payload": {**alert, "detail": "x"}}, {"payload": {**alert, "incident": 2}}):
        assert call(ops, "PATCH", "/nightly", change)[0] == 422
    client = Client()
    client.force_login(ops)
    page = client.get(f"{ADMIN}add/").content.decode()
    assert '"test_echo"' in page
    assert '"player_action"' not in page
    form = {**FORM, "name": "other", "job_type": "alert", "payload": json.dumps(alert)}
    assert client.post(f"{ADMIN}add/", form).context["adminform"].form.errors.keys() == {"job_type"}
    assert not Schedule.objects.filter(name="other").exists()


def test_a_name_that_somebody_takes_in_the_same_moment_is_told_at_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    client.force_login(staff("view", "add"))
    create(name="nightly", fields=FIELDS, by=None)
    monkeypatch.setattr(ScheduleForm, "validate_unique", lambda form: monkeypatch.undo())  # it was not there yet
    answer = client.post(f"{ADMIN}add/", FORM)
    assert answer.status_code == 200
    assert "already exists" in answer.context["adminform"].form.errors["name"][0]
    assert answer.context["adminform"].form["cron"].value() == FORM["cron"]
    assert Schedule.objects.count() == 1


def test_a_token_for_playing_changes_no_schedule() -> None:
    create(name="nightly", fields=FIELDS, by=None)
    ops = staff("view", "run")
    assert call(ops, "POST", "/nightly/run", scope=Scope.PLAY)[0] == 403
    assert Client().get(PATH).status_code == 401


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"cron": "99 * * * *"}, "cron"),
        ({"time_zone": "Europe/Nowhere"}, "time_zone"),
        ({"starts_at": "2026-01-01T00:00:00"}, "starts_at"),
        ({"ends_at": "0001-01-01T00:00:00+14:00"}, "ends_at"),
        ({"job_type": "gone"}, "job_type"),
        ({"payload": {"seconds": "x"}}, "payload.seconds"),
        ({"payload": []}, "payload"),
        ({"interval_seconds": 10**400}, "interval_seconds"),
        ({"catch_up": 1000}, "catch_up"),
        ({"surprise": 1}, "surprise"),
        ({"name": "No Name"}, "name"),
        ({"name": "x" * 101}, "name"),
    ],
)
def test_bad_input_is_answered_by_its_field(wrong: dict[str, Any], path: str) -> None:
    status, body = call(staff("view", "add"), "POST", "", {"name": "nightly", **FIELDS, **wrong})
    assert (status, body["code"]) == (422, "invalid")
    assert any(name.endswith(path) for name in body["fields"]), body


def test_an_overlong_idempotency_key_is_refused() -> None:
    create(name="nightly", fields=FIELDS, by=None)
    status, body = call(staff("run"), "POST", "/nightly/run", key="k" * 300)
    assert (status, list(body["fields"])) == (422, ["idempotency_key"])


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def test_the_admin_makes_and_changes_schedules(root: Client) -> None:
    assert root.get(f"{ADMIN}add/").status_code == 200
    assert root.post(f"{ADMIN}add/", FORM).status_code == 302
    schedule = Schedule.objects.get()
    assert (schedule.cron, schedule.payload["text"], schedule.next_at is None) == ("0 4 * * *", "x", False)
    Schedule.objects.update(next_at=datetime(2026, 1, 1, tzinfo=UTC))
    ticks.fire(schedule.pk)
    page = root.get(f"{ADMIN}{schedule.pk}/change/").content.decode()
    assert "not made up for" in page
    rest = {name: value for name, value in FORM.items() if name != "name"} | {"cron": "0 5 * * *"}
    latest = {"ticks-TOTAL_FORMS": "1", "ticks-INITIAL_FORMS": "1", "ticks-0-id": str(schedule.ticks.get().pk)}
    assert root.post(f"{ADMIN}{schedule.pk}/change/", rest | latest).status_code == 302
    assert Schedule.objects.get().cron == "0 5 * * *"
    actions = AuditEntry.objects.filter(actor__username="root").values_list("action", flat=True)
    assert set(actions) == {"schedule.created", "schedule.changed"}


@pytest.mark.parametrize("tick", ["gone", "999999", ""])
def test_the_admin_saves_a_page_whose_ticks_were_forgotten_meanwhile(root: Client, tick: str) -> None:
    schedule = create(name="nightly", fields=FIELDS, by=None)
    latest = {"ticks-TOTAL_FORMS": "1", "ticks-INITIAL_FORMS": "1", "ticks-0-id": tick}
    assert root.post(f"{ADMIN}{schedule.pk}/change/", FORM | {"cron": "0 5 * * *"} | latest).status_code == 302
    assert Schedule.objects.get().cron == "0 5 * * *"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cron": "99 * * * *"}, "out of range"),
        ({"interval_seconds": "60"}, "one of them"),
        ({"payload": '{"seconds": "x"}'}, "seconds: Input"),
        ({"payload": "[1]"}, "dictionary"),
        ({"payload": "{"}, "valid JSON"),
        ({"payload": '{"a":' * 3000}, "nested too deeply"),
        ({"payload": r'{"text": "\u0000"}'}, "text contains characters"),
        ({"name": "No Name"}, "lower-case"),
        ({"time_zone": "Mars"}, "valid choice"),
    ],
)
def test_the_admin_says_what_is_wrong(root: Client, wrong: dict[str, str], said: str) -> None:
    answer = root.post(f"{ADMIN}add/", FORM | wrong)
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert not Schedule.objects.exists()


def test_the_admins_actions_pause_resume_run_and_delete(root: Client) -> None:
    schedule = create(name="nightly", fields=FIELDS, by=None)
    for action, done in (("pause", "paused"), ("resume", "resumed"), ("run_now", "run")):
        chosen = {"action": action, "_selected_action": str(schedule.pk)}
        assert f"Schedule nightly: {done}." in root.post(ADMIN, chosen, follow=True).content.decode()
    assert Job.objects.count() == 1
    delete = {"action": "delete_selected", "_selected_action": str(schedule.pk), "post": "yes"}
    assert root.post(ADMIN, delete, follow=True).status_code == 200
    assert not Schedule.objects.exists()
    assert AuditEntry.objects.filter(action="schedule.deleted").exists()


def test_a_schedule_of_a_job_type_that_is_gone_can_be_looked_at_in_the_admin(root: Client) -> None:
    schedule = create(name="nightly", fields=FIELDS, by=None)
    Schedule.objects.update(job_type="gone")
    assert root.get(f"{ADMIN}{schedule.pk}/change/").status_code == 200
    assert root.get(ADMIN).status_code == 200


def test_staff_without_rights_see_no_schedules_in_the_admin() -> None:
    client = Client()
    client.force_login(staff())
    assert client.get(ADMIN).status_code == 403


def test_staff_who_may_only_look_change_nothing_in_the_admin() -> None:
    schedule = create(name="nightly", fields=FIELDS, by=None)
    client = Client()
    client.force_login(staff("view"))
    assert client.get(f"{ADMIN}{schedule.pk}/change/").status_code == 200
    client.post(ADMIN, {"action": "pause", "_selected_action": str(schedule.pk)})
    assert Schedule.objects.get().paused_at is None
    assert client.post(f"{ADMIN}{schedule.pk}/change/", FORM).status_code == 403
