"""What ``manage.py check`` says before a deploy."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command

from jobs.models import Job
from jobs.operations.enqueue import enqueue
from jobs.testing import run_until_idle
from tests.jobs.durable import NEW, OLD, Wish
from tests.jobs.kinds import ECHO, Plan

pytestmark = pytest.mark.django_db(transaction=True)


def checked(*options: str) -> str:
    said = StringIO()
    call_command("check", *options, stdout=said, stderr=said)
    return said.getvalue()


def test_unfinished_jobs_of_versions_that_are_gone_are_listed() -> None:
    for job_type in (OLD, OLD, NEW):
        enqueue(job_type, Wish())
    ended = enqueue(ECHO, Plan())
    run_until_idle()
    assert "jobs.W003" not in checked("--deploy")
    Job.objects.filter(version=1).update(version=7)
    assert Job.objects.get(pk=ended.pk).version == 7
    said = checked("--deploy")
    assert "(jobs.W003) 2 unfinished jobs are of version 7 of 'durable_changing'" in said
    assert said.count("jobs.W003") == 1, "neither versions that are there nor jobs that have ended"
    assert "jobs.W003" not in checked(), "a start does not ask the database"
