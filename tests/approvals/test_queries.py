"""Pages of approvals show one moment, whatever happens while they are read."""

from __future__ import annotations

import pytest

from approvals.models import Approval
from approvals.operations import decide
from approvals.queries import by_due_time, drafts_of
from jobs.testing import run_until_idle
from tests.approvals.conftest import Cast

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_draft_belongs_to_the_version_it_is_shown_with(approval: Approval, cast: Cast) -> None:
    page = by_due_time(Approval.objects.pending(), limit=10)
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="reject", reason="darker", regenerate=True)
    run_until_idle()
    assert Approval.objects.get(pk=approval.pk).version == 2
    assert page.items[0].version == 1
    assert drafts_of(page.items)[approval.pk].text == "The door creaks open."
