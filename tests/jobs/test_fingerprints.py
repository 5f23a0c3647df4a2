"""The same cause of death gives the same fingerprint."""

from __future__ import annotations

import traceback

import pytest

from jobs.fingerprints import fingerprint
from jobs.models import Job
from jobs.operations.enqueue import enqueue
from jobs.testing import run_until_idle
from tests.jobs.kinds import FAIL, Plan


def _fail(message: str) -> str:
    try:
        raise ValueError(message)
    except ValueError as error:
        return "".join(traceback.format_exception(error))


def _fail_elsewhere() -> str:
    try:
        raise ValueError("a")
    except ValueError as error:
        return "".join(traceback.format_exception(error))


@pytest.mark.fast
def test_messages_and_line_numbers_do_not_matter() -> None:
    moved = _fail("a\nKeyError: no").replace("line ", "line 1")
    assert fingerprint("internal_error", _fail("b")) == fingerprint("internal_error", moved)


@pytest.mark.fast
def test_code_kind_and_place_do() -> None:
    seen = {
        fingerprint("internal_error", _fail("a")),
        fingerprint("timeout", _fail("a")),
        fingerprint("internal_error", _fail("a").replace("ValueError:", "KeyError:")),
        fingerprint("internal_error", _fail_elsewhere()),
        fingerprint("poison", ""),
    }
    assert len(seen) == 5


@pytest.mark.django_db(transaction=True)
def test_jobs_that_die_alike_are_found_by_it() -> None:
    for do in ("permanent", "permanent", "later"):
        enqueue(FAIL, Plan(do=do), max_attempts=1)
    run_until_idle()
    causes = list(Job.objects.order_by("id").values_list("fingerprint", flat=True))
    assert causes[0] == causes[1] != causes[2]
    assert all(causes)
