"""The admin console: who gets in, and what it lets nobody do."""

import subprocess
import sys

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from accounts import tokens
from accounts.models import ApiToken, AuditEntry

RQ = "/admin/django_rq/dashboard/"

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def signed_in(**rights: bool) -> Client:
    client = Client()
    client.force_login(User.objects.create_user("ada", **rights))  # type: ignore[arg-type]
    return client


@pytest.fixture
def root() -> Client:
    return signed_in(is_staff=True, is_superuser=True)


def test_its_frame_is_ours(root: Client) -> None:
    assert "queueproject" in root.get("/admin/").content.decode()


def test_rq_s_screens_are_for_superusers_only() -> None:
    staff = signed_in(is_staff=True)
    ada = User.objects.get()
    ada.user_permissions.set(Permission.objects.all())
    assert "django_rq" not in staff.get("/admin/").content.decode()
    for page in ("", "stats.json", "metrics", "queues/0/", "queues/0/empty/", "workers/0/"):
        assert staff.get(f"{RQ}{page}").status_code == 403, page
    assert staff.post(f"{RQ}queues/0/empty/").status_code == 403
    User.objects.update(is_superuser=True)
    for page in ("", "stats.json", "queues/0/", "workers/0/"):
        assert staff.get(f"{RQ}{page}").status_code == 200, page


def test_a_new_token_is_shown_once(root: Client) -> None:
    form = {"user": User.objects.get().pk, "name": "laptop", "scopes": ["read", "play"]}
    response = root.post(reverse("admin:accounts_apitoken_add"), form, follow=True)
    raw = next(str(message) for message in response.context["messages"]).rpartition(" ")[2]
    token = tokens.authenticate(raw)
    assert token
    assert (token.name, token.scopes) == ("laptop", ["play", "read"])
    for address in (
        reverse("admin:accounts_apitoken_changelist"),
        reverse("admin:accounts_apitoken_change", args=[token.pk]),
    ):
        page = root.get(address)
        assert page.status_code == 200
        assert raw not in page.content.decode()
    assert ApiToken.objects.count() == 1


def test_tokens_are_revoked_here_and_that_is_recorded(root: Client) -> None:
    token, raw = tokens.issue(User.objects.get(), "laptop", ["read"])
    root.post(reverse("admin:accounts_apitoken_changelist"), {"action": "revoke", "_selected_action": [str(token.pk)]})
    assert tokens.authenticate(raw) is None
    assert AuditEntry.objects.filter(action="token.revoked", actor_label="ada").exists()


def test_audit_entries_can_be_read_and_nothing_else(root: Client) -> None:
    tokens.issue(User.objects.get(), "laptop", ["read"])
    entry = AuditEntry.objects.get()
    change = reverse("admin:accounts_auditentry_change", args=[entry.pk])
    assert root.get(reverse("admin:accounts_auditentry_changelist")).status_code == 200
    assert root.get(change).status_code == 200
    assert root.post(change, {"action": "nothing"}).status_code == 403
    assert root.post(reverse("admin:accounts_auditentry_delete", args=[entry.pk]), {"post": "yes"}).status_code == 403
    assert root.get(reverse("admin:accounts_auditentry_add")).status_code == 403


def test_a_worker_holds_no_screens_in_memory() -> None:
    asked = "import sys, django; django.setup(); import jobs.management.commands.worker; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True, text=True).stdout.split()
    assert "jobs.worker.process" in loaded
    assert not {"jobs.admin", "jobs.api", "queueproject.urls", "prometheus_client"}.intersection(loaded)


def test_checks_look_at_what_rooms_register() -> None:
    asked = """if True:
        import django; django.setup()
        from django.contrib import admin
        assert not admin.site._registry
        admin.site.check(None)
        print(*(model.__name__ for model in admin.site._registry))"""
    registered = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True, text=True).stdout
    assert {"Job", "Approval", "Game"} <= set(registered.split())
