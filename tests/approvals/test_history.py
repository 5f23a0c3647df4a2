"""Versions and decisions are written once, and outlive everything around them."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.models import AppendOnly
from approvals.models import Approval, ApprovalDecision, ApprovalVersion
from approvals.operations import decide
from approvals.operations.moves import IllegalTransition, move
from approvals.states import TRANSITIONS, Status
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.models_steps import JobStep
from jobs.testing import run_until_idle
from tests.approvals.conftest import Cast

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def decided(approval: Approval, cast: Cast) -> Approval:
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="modify", text="Edited.")
    run_until_idle()
    return approval


def test_a_row_of_the_history_can_not_be_changed(decided: Approval) -> None:
    for row in (decided.versions.get(), decided.decisions.get()):
        for change in (row.save, row.delete, type(row).objects.all().delete):
            with pytest.raises(AppendOnly):
                change()
        with pytest.raises(AppendOnly):
            type(row).objects.update(at=None)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE approvals_approvalversion SET number = 9",
        "UPDATE approvals_approvaldecision SET decision = 'accept'",
        "UPDATE approvals_approvaldecision SET by_id = (SELECT max(id) FROM auth_user)",
    ],
)
def test_the_database_refuses_too(decided: Approval, statement: str) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_postgresql_refuses_to_delete_history(decided: Approval) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite empties test databases by DELETE")
    for table in ("approvals_approvaldecision", "approvals_approvalversion"):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table}")


def test_history_outlives_its_people_and_its_job(decided: Approval, cast: Cast) -> None:
    JobEvent.objects.all().delete()
    JobStep.objects.all().delete()
    Job.objects.all().delete()
    for user in (cast.player, cast.dm):
        user.delete()
    left = Approval.objects.get(pk=decided.pk)
    assert (left.job, left.requester, left.decided_by, left.action) == (None, None, None, "I open the door")
    entry = ApprovalDecision.objects.get(approval=left)
    assert (entry.by, entry.by_label, entry.text) == (None, "dm", "Edited.")
    assert ApprovalVersion.objects.get(approval=left).draft.text == "The door creaks open."


@pytest.mark.parametrize("origin", Status)
@pytest.mark.parametrize("to", Status)
def test_only_the_declared_changes_of_status_are_possible(approval: Approval, origin: Status, to: Status) -> None:
    columns: dict[str, Any] = {"settles_at": approval.due_at}
    row = Approval.objects.filter(pk=approval.pk)
    row.update(status=origin, **columns)
    if (origin, to) in TRANSITIONS:
        assert move(row, origin, to)
    else:
        with pytest.raises(IllegalTransition):
            move(row, origin, to)


def test_a_change_from_another_status_than_is_there_changes_nothing(approval: Approval) -> None:
    row = Approval.objects.filter(pk=approval.pk)
    assert move(row, Status.PENDING, Status.EXPIRED)
    assert not move(row, Status.PENDING, Status.SETTLED)
    assert row.get().status == Status.EXPIRED
