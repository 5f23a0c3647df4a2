"""A database without the tables of this code is told from one that is away."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import DatabaseError, OperationalError, ProgrammingError, connection, transaction
from django.test import Client

from jobs.schema import AWAY, UNMIGRATED, explained, is_unmigrated
from tests.cast import assemble


def test_errors_of_the_schema_are_known_by_what_the_database_says() -> None:
    for words in ("no such table: jobs_job", "no such column: x", "table jobs_job has no column named x"):
        assert explained(OperationalError(words)) == UNMIGRATED
    assert explained(OperationalError("database is locked")) == AWAY
    assert not is_unmigrated(ProgrammingError("syntax error"))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("sql", ["SELECT * FROM jobs_nowhere", "SELECT nowhere FROM jobs_worker"])
def test_this_database_says_so_too(sql: str) -> None:
    with pytest.raises(DatabaseError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
    assert is_unmigrated(caught.value)


@pytest.fixture
def _no_workers(transactional_db: None) -> Iterator[None]:
    """The table is away in the database: what Django remembers of a model by its table's name stays right."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE jobs_worker RENAME TO jobs_nowhere")
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE jobs_nowhere RENAME TO jobs_worker")


@pytest.mark.usefixtures("_no_workers")
def test_what_needs_a_missing_table_says_run_migrate() -> None:
    cast = assemble()
    headers = cast.bearer(cast.admin)
    answer = Client(raise_request_exception=False).get("/v1/ops/workers", headers=headers)
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (503, "unavailable", UNMIGRATED)
    for command in ("worker", "scheduler", "workers"):
        with pytest.raises(CommandError, match="run `manage"):
            call_command(command)


@pytest.mark.integration
@pytest.mark.parametrize("command", ["worker", "scheduler", "queues"])
def test_a_process_on_an_empty_database_ends_with_one_line(tmp_path: Path, command: str) -> None:
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3"}
    arguments = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), command, "--no-color"]
    ended = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr.strip()) == (1, f"CommandError: {UNMIGRATED}")
