"""Several of everything at once, and workers of the last release beside those of this one."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import (
    AddField,
    CreateModel,
    DeleteModel,
    RemoveField,
    RenameField,
    RenameModel,
)
from django.db.migrations.operations.base import Operation

from accounts import tokens
from accounts.models import Scope
from jobs import invariants
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.states import FINAL, Status
from queueproject.stack.commands import PROJECT
from tests.cast import assemble
from tests.jobs.kinds import ECHO, PARENT, STEPS, Plan
from tests.processes import Stack
from tests.waiting import wait_until

FIRST_RELEASE = {"accounts": "0002_audit_append_only", "jobs": "0007_schedules", "games": "0001_initial"}
"""The migrations up to these were there before anything ran anywhere."""

PREVIOUS = os.environ.get("PREVIOUS", "")
"""Another commit to take for the last release."""


def all_ended() -> bool:
    return not Job.objects.exclude(status__in=FINAL).exists()


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_two_webs_two_workers_and_two_schedulers_at_once_make_each_job_once_and_in_order(stack: Stack) -> None:
    admin = assemble().admin
    stack.start("web", "web.2", "worker", "worker.2", "scheduler", "scheduler.2")
    headers = {"Authorization": f"Bearer {tokens.issue(admin, 'test', [Scope.READ, Scope.OPERATE])[1]}"}
    doors = [f"http://127.0.0.1:{stack.port_of(name)}/v1/ops/jobs" for name in ("web", "web.2")]

    def ask(number: int) -> set[str]:
        """The same at both doors."""
        body = {"type": "test_echo", "payload": {"text": str(number)}, "ordering_key": f"lane:{number % 4}"}
        key = {"Idempotency-Key": str(uuid4())}
        answers = [httpx.post(door, json=body, headers=headers | key, timeout=30) for door in doors]
        return {answer.raise_for_status().json()["id"] for answer in answers}

    with ThreadPoolExecutor(8) as pool:
        asked = list(pool.map(ask, range(60)))
    wait_until(all_ended, timeout=60)
    assert {len(ids) for ids in asked} == {1}
    assert Job.objects.filter(status=Status.COMPLETED).count() == 60
    assert JobEvent.objects.filter(event="job.started").count() == 60
    assert sum(" leads" in stack.log(name) for name in ("scheduler", "scheduler.2")) == 1
    assert invariants.broken() == {}


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, check=True).stdout


def last_release() -> str:
    """The commit to deploy from: the newest tag's, else the one before the newest migration."""
    if PREVIOUS:
        return PREVIOUS
    if tags := git("tag", "--merged", "HEAD~1", "--sort=-creatordate").split():
        return tags[0].decode()
    return f"{git('log', '-1', '--format=%H', '--', '*/migrations/0*.py').decode().strip()}~1"


@pytest.fixture
def old_code(tmp_path: Path) -> Path:
    """The last release's files, beside ours."""
    try:
        if git("rev-parse", "--is-shallow-repository").strip() == b"true":
            git("fetch", "--quiet", "--deepen=50")
        archive = git("archive", "--format=tar", last_release())
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", b"") or str(error).encode()
        pytest.skip(f"there is no earlier commit here to run: {reason.decode().strip()}")
    directory = tmp_path / "old"
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(directory, filter="data")
    return directory


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_a_worker_of_the_last_release_works_beside_one_of_this_on_the_new_tables(stack: Stack, old_code: Path) -> None:
    stack.start("worker.old", project=old_code, arguments=["--name", "old"])
    stack.start("scheduler")
    first = [enqueue(kind, Plan(text=str(n)), scope="test:1") for n in range(5) for kind in (ECHO, PARENT, STEPS)]
    wait_until(all_ended, timeout=60, what="the old worker alone finished")
    assert {Job.objects.get(pk=job.pk).status for job in first} == {Status.COMPLETED}, stack.log("worker.old")
    stack.start("worker", arguments=["--name", "new"])
    enqueue_many(PARENT, [Plan(text="x")] * 60, scope="test:1", ordering_key="lane:a")
    enqueue_many(STEPS, [Plan(text="x")] * 60, scope="test:2")
    wait_until(all_ended, timeout=120)
    assert not Job.objects.exclude(status=Status.COMPLETED).exists()
    assert invariants.broken() == {}


@pytest.mark.parametrize("app", ["accounts", "jobs", "approvals", "generation", "games", "delivery"])
def test_no_migration_takes_from_older_workers_what_they_read_or_asks_of_them_what_they_dont_write(app: str) -> None:
    broken = []
    for (room, name), migration in MigrationLoader(None).disk_migrations.items():
        if room != app or name <= FIRST_RELEASE.get(app, ""):
            continue
        new = {operation.name_lower for operation in migration.operations if isinstance(operation, CreateModel)}
        broken += [f"{name}: {operation.describe()}" for operation in migration.operations if _breaks(operation, new)]
    assert broken == [], (
        "give new columns null=True or db_default; remove in the release after the one that stops using"
    )


def _breaks(operation: Operation, new: set[str]) -> bool:
    match operation:
        case AddField(model_name_lower=model, field=field) if model not in new:
            return not (field.null or field.has_db_default() or field.many_to_many)
        case RemoveField() | RenameField() | RenameModel() | DeleteModel():
            return True
    return False
