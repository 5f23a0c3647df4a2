"""The tests' Redis and database are real, private and gone afterwards.

``TEST_DATABASE=postgres`` runs on PostgreSQL, anything else on SQLite. Both are started here, before Django reads its
settings. The durations below make real processes quick; tests override single ones with ``config``.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from pytest_django import DjangoDbBlocker, Settings
from redis import Redis

from tests import servers
from tests.processes import Stack
from tests.proof import FULL

# The same examples each time, so that a change is judged by what it changed; others in the full proof.
hypothesis.settings.register_profile("proof", derandomize=not FULL, deadline=None, print_blob=FULL)
hypothesis.settings.load_profile("proof")

pytest_plugins = ["queueproject.testing.plugin"]

QUICK = {
    "LEASE_SECONDS": "2",
    "HEARTBEAT_SECONDS": "0.4",
    "TICK_SECONDS": "0.1",
    "LEADER_LEASE_SECONDS": "1",
    "POLL_SECONDS": "0.1",
    "FOLLOW_SECONDS": "0.1",
    "SHUTDOWN_SECONDS": "2",
    "REDIS_TIMEOUT_SECONDS": "0.5",
    "BACKOFF_SECONDS": "0.05",
    "SCRIPTED_SECONDS": "0.1",
    "QUEUE_STATUS_SECONDS": "3600",  # other tests count what is said to them
    "SOCKET_RECHECK_SECONDS": "0.2",
    "PRESENCE_WRITE_SECONDS": "0.2",
}

collect_ignore = ["hall/test_sqlite.py"] if os.environ.get("TEST_DATABASE") == "postgres" else []

ENGINE = [Path(__file__).parent / name for name in ("jobs", "approvals", "conformance", "proof")]
SHOWN = ("admin", "admin_live", "commands", "docs_durable", "live", "pages", "rq", "runbook", "socket", "staff")
"""How it is shown and operated: the queries beneath are tried on both by the tests of the operations and the API."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What the queue and the decisions themselves do is tried on both databases: what asks one of them, that is."""
    for item in items:
        if (
            any(room in item.path.parents for room in ENGINE)
            and _asks_the_database(item)
            and not item.path.stem.endswith(tuple(f"_{name}" for name in SHOWN))
        ):
            item.add_marker("engine")


def _asks_the_database(item: pytest.Item) -> bool:
    fixtures: list[str] = getattr(item, "fixturenames", [])
    return bool(item.get_closest_marker("django_db")) or not {"db", "transactional_db"}.isdisjoint(fixtures)


_directory = tempfile.TemporaryDirectory(prefix="qp-tests-")
_redis = servers.Redis(Path(_directory.name))
_database = servers.database(os.environ.get("TEST_DATABASE", "sqlite"), Path(_directory.name))

os.environ |= {
    "DJANGO_SETTINGS_MODULE": "tests.settings",
    "DEBUG": "1",
    "REDIS_URL": _redis.url,
    "DATABASE_URL": _database.url,
    **{name: os.environ.get(name, value) for name, value in QUICK.items()},
}

from django.conf import settings as django_settings  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import TransactionTestCase  # noqa: E402

from jobs.transport import Breaker, RedisTransport, transport  # noqa: E402
from tests import emptying  # noqa: E402

assert django_settings.configured or django_settings.DATABASES


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """With pytest-xdist each process has servers of its own: none may read the settings before it has started them."""
    if session.config.getoption("numprocesses", None):
        del os.environ["DJANGO_SETTINGS_MODULE"]


def pytest_unconfigure() -> None:
    _database.stop()
    _redis.stop()
    _directory.cleanup()


@pytest.fixture(scope="session")
def redis_server() -> servers.Redis:
    """The tests' Redis server, which can be stopped and started again."""
    return _redis


@pytest.fixture(autouse=True)
def _empty_redis() -> Iterator[None]:
    yield
    _redis.start()
    with Redis.from_url(_redis.url) as client:
        client.flushall()
    carrier = transport()
    if isinstance(carrier, RedisTransport):
        carrier.breaker = Breaker()  # An outage in one test is over before the next.


@pytest.fixture
def config(settings: Settings) -> Callable[..., None]:
    """``config(lease_seconds=0.5)`` changes fields of ``settings.CONFIG`` for this test."""

    def change(**fields: Any) -> None:
        unknown = fields.keys() - type(settings.CONFIG).model_fields
        assert not unknown, f"no such settings: {unknown}"
        settings.CONFIG = settings.CONFIG.model_copy(update=fields)

    return change


@pytest.fixture
def chromium(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """Debian's Chromium, without a window. One for each test: until it stops, its event loop owns this thread."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def new_page(chromium: Browser, stack: Stack) -> Iterator[Callable[..., Page]]:
    """``new_page(**options)`` opens a page in a fresh context, which is another person's browser.

    A page's uncaught error or a violation of the content security policy fails the test.
    """
    complaints: list[str] = []

    def complain(message: ConsoleMessage) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            complaints.append(message.text)

    def open_page(**options: Any) -> Page:
        page = chromium.new_context(base_url=stack.base_url, **options).new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", complain)
        return page

    yield open_page
    for context in chromium.contexts:
        context.close()
    assert not complaints


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Pytest-django's, emptied in our own way; and at the end PostgreSQL drops connections that are left.

    Channels' test communicators keep those of other threads open, and a database in use can't be removed.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", emptying.empty)
        yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
