"""How the database is reached."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from jobs import statements
from queueproject.database import database

URL = "postgresql://somebody@db/queue"


def options(url: str, seconds: float) -> str | None:
    config = settings.CONFIG.model_copy(update={"database_url": url, "database_idle_seconds": seconds})
    found: str | None = database(config, Path())["OPTIONS"].get("options")
    return found


def test_the_limit_of_a_transaction_that_stands_still_joins_what_the_url_sets() -> None:
    limit = "-c idle_in_transaction_session_timeout=1500"
    assert options(URL, 1.5) == limit
    assert options(f"{URL}?options=-c%20work_mem%3D8MB", 1.5) == f"-c work_mem=8MB {limit}"
    assert options(URL, 0) is None


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL's own limit")
def test_the_database_knows_the_limit() -> None:
    assert statements.ask(
        "SELECT setting::int FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'"
    ) == [(settings.CONFIG.database_idle_seconds * 1000,)]
