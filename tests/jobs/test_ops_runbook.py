"""The runbook's commands are real: each section is carried out."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from jobs import invariants
from jobs.operations import leases
from jobs.operations.enqueue import enqueue
from jobs.pauses import pauses
from jobs.testing import run_until_idle
from tests.jobs.kinds import ECHO, FAIL, Plan

DOCS = Path(settings.BASE_DIR) / "docs"
ROLLBACK = "A migration is rolled back"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def sections() -> dict[str, list[list[str]]]:
    """The arguments of ``manage.py`` in each section, by its title."""
    first, *others = (DOCS / "runbook.md").read_text().split("\n## ")
    titled = {"First": first} | {text.partition("\n")[0]: text for text in others}
    return {title: [_arguments(line) for line in _lines(text)] for title, text in titled.items()}


def _lines(text: str) -> Iterator[str]:
    for block in BLOCK.findall(text):
        yield from block.splitlines()


def _arguments(line: str) -> list[str]:
    prompt, python, manage, *arguments = shlex.split(line)
    assert (prompt, python, manage) == ("$", "python", "manage.py"), f"not a command that can be tested: {line}"
    return arguments


@pytest.fixture
def names() -> Iterator[dict[str, str]]:
    """What the runbook's placeholders stand for here."""
    dead = enqueue(FAIL, Plan(do="permanent"))
    run_until_idle()
    job = enqueue(ECHO, Plan())
    worker = leases.register(name="host.1234", queues=["llm"], slots=1)
    yield {"$DEAD": str(dead.public_id), "$JOB": str(job.public_id), "$WORKER": worker.name}
    pauses.forget()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("title", [title for title in sections() if title != ROLLBACK])
def test_each_section_can_be_carried_out(title: str, names: dict[str, str]) -> None:
    out = StringIO()
    for arguments in sections()[title]:
        call_command(*(names.get(argument, argument) for argument in arguments), stdout=out, stderr=out)
    assert out.getvalue() or not sections()[title]
    assert invariants.broken() == {}


@pytest.mark.integration
def test_a_migration_is_rolled_back_and_forth(tmp_path: Path) -> None:
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3"}
    for arguments in (["migrate"], *sections()[ROLLBACK]):
        command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), *arguments, "--no-color"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "OK" in done.stdout, "there was something to roll back"


@pytest.mark.fast
def test_the_runbook_has_what_goes_wrong() -> None:
    expected = {
        "A job is stuck",
        "Dead letters",
        "Redis is lost",
        "The database restarts",
        "Deploy and drain",
        ROLLBACK,
    }
    assert expected < set(sections())
    assert all(sections()[title] for title in expected)
