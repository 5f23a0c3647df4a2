"""Approvals in the admin: found and read with their history, never changed."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from approvals.models import Approval
from approvals.operations import decide
from tests.approvals.conftest import Cast
from tests.approvals.tables import unknown_id

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/approvals/approval/"


@pytest.fixture
def admin(cast: Cast) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    return client


def test_an_approval_is_shown_with_its_history(admin: Client, approval: Approval, cast: Cast) -> None:
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="modify", text="<b>Shut.</b>", reason="better")
    page = admin.get(f"{LIST}{approval.pk}/change/").content.decode()
    for part in ("The door creaks open.", "&lt;b&gt;Shut.&lt;/b&gt;", "better"):
        assert part in page
    assert "_save" not in page


@pytest.mark.parametrize("term", ["player", "open the door", "", "\x00", "x" * 5000, str(unknown_id()), "%' OR 1=1"])
def test_approvals_are_searched(admin: Client, approval: Approval, term: str) -> None:
    response = admin.get(LIST, {"q": term})
    assert response.status_code == 200
    assert (str(approval.pk) in response.content.decode()) == (term in ("player", "open the door", "", "\x00"))


def test_an_approval_is_found_by_its_id_and_its_requests(admin: Client, approval: Approval) -> None:
    for term in (approval.pk, approval.request):
        assert f"{LIST}{approval.pk}/change/" in admin.get(LIST, {"q": str(term)}).content.decode()


def test_nothing_is_added_changed_or_deleted(admin: Client, approval: Approval) -> None:
    for path in ("add/", f"{approval.pk}/delete/"):
        assert admin.get(LIST + path).status_code == 403
    posted = admin.post(f"{LIST}{approval.pk}/change/", {"status": "settled", "decision": "accept"})
    assert posted.status_code == 403
    admin.post(LIST, {"action": "delete_selected", "_selected_action": str(approval.pk), "post": "yes"})
    approval.refresh_from_db()
    assert (approval.status, approval.decision) == ("pending", "")
