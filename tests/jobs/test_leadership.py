"""Who leads: one of them, from the first moment on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from jobs.models import Leadership
from jobs.scheduler.leadership import lead, step_down

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_first_leads_at_once_and_nobody_beside_it() -> None:
    assert lead("a")
    assert not lead("b")
    assert lead("a"), "it renews its lease"


def test_another_leads_as_soon_as_the_first_has_left_or_its_lease_ran_out() -> None:
    assert lead("a")
    step_down("a")
    assert lead("b")
    Leadership.objects.update(lease_until=Now() - timedelta(seconds=1))
    assert lead("c")
    step_down("b")
    assert not lead("b"), "who no longer leads takes nothing from who does"
