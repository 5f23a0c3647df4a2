"""What outlives a deleted request: the decision, the turn, the stream, the audit log, each still to be read."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.test import Client

from accounts.models import AuditEntry
from approvals.models import Approval, ApprovalDecision
from approvals.operations.deciding import decide
from games.models import Turn
from games.operations import act
from jobs import invariants
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.operations import upkeep
from jobs.states import Status
from jobs.testing import run_until_idle
from tests.cast import assemble

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_decided_action_is_still_told_of_when_its_job_is_gone() -> None:
    cast = assemble()
    job = act(user=cast.player1, game=cast.game, text="I look around")
    run_until_idle()
    approval = Approval.objects.get()
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
    run_until_idle()
    assert Job.objects.get(pk=job.pk).status == Status.COMPLETED
    written = (JobEvent.objects.exclude(scope=None).count(), AuditEntry.objects.count(), Turn.objects.count())

    Job.objects.update(finished_at=F("finished_at") - timedelta(days=3650))
    assert upkeep.prune() == 1
    assert not Job.objects.exists()
    left = (JobEvent.objects.exclude(scope=None).count(), AuditEntry.objects.count(), Turn.objects.count())
    assert left == written
    assert ApprovalDecision.objects.filter(approval=approval).exists()
    assert invariants.broken() == {}

    for user, pages in {
        cast.dm: ["/decisions/history/", f"/decisions/{approval.pk}/", f"/v1/approvals/{approval.pk}"],
        cast.player1: [f"/v1/games/{cast.game.pk}/turns", f"/play/{cast.game.pk}/"],
    }.items():
        client = Client()
        client.force_login(user)
        for page in pages:
            answer = client.get(page)
            assert answer.status_code == 200, page
            assert "I look around" in answer.content.decode(), page
    root = Client()
    root.force_login(cast.admin)
    assert root.get(f"/admin/approvals/approval/{approval.pk}/change/").status_code == 200
