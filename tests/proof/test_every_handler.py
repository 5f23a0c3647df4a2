"""Every registered handler does the same, however often it is killed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobs import invariants
from jobs.registry import versions
from jobs.testing import replay_check
from tests.cast import Cast
from tests.proof.samples import SAMPLES, answer, described

pytestmark = pytest.mark.django_db(transaction=True)

NOT_OURS = ("tests.", "bench.", "chaos.")
"""The handlers of tests and measurements, which other tests may have declared in this process."""

REGISTERED = sorted({name for (name, _), kind in versions().items() if not kind.handler.startswith(NOT_OURS)})


@pytest.mark.parametrize("name", REGISTERED)
def test_a_handler_is_the_same_however_often_it_is_killed(name: str, cast: Cast, config: Callable[..., None]) -> None:
    config(alert_emails=("ops@example.org",), scripted_seconds=0.0)
    assert name in SAMPLES, f"tests/proof/samples.py has no sample of the job type {name!r}"
    places = replay_check(lambda: SAMPLES[name](cast), lambda: answer(cast), described)
    assert {"in_claim", "in_settle"} <= set(places)
    assert not invariants.broken(liveness=False)


def test_every_sample_is_of_a_job_type_that_is_there() -> None:
    assert set(SAMPLES) == set(REGISTERED)
