"""What is measured, counted and shown of the queues, and whose each log line is."""

from __future__ import annotations

import logging

import pytest
import structlog

from jobs.context import JobContext
from jobs.operations.enqueue import enqueue
from jobs.testing import run_until_idle
from tests.jobs import kinds
from tests.jobs.kinds import IO, PARENT, Plan

pytestmark = pytest.mark.django_db(transaction=True)

Seen = list[dict[str, object]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """The fields that log lines of handlers had."""
    lines: Seen = []

    def note(ctx: JobContext, plan: Plan) -> str:
        lines.append(structlog.contextvars.get_contextvars())
        return plan.text

    async def network(seconds: float, *, idempotency_key: str) -> str:
        lines.append(structlog.contextvars.get_contextvars())
        return "answered"

    monkeypatch.setattr("jobs.execution.resolve", lambda path: note if path.endswith("child") else kinds_of(path))
    monkeypatch.setattr(kinds, "_network", network)
    return lines


def kinds_of(path: str) -> object:
    return getattr(kinds, path.partition(":")[2])


def test_a_childs_log_lines_name_its_request_and_itself(seen: Seen) -> None:
    request = enqueue(PARENT, Plan(text="x"))
    run_until_idle()
    child = request.children.get()
    assert [(line["request"], line["job"], line["token"]) for line in seen] == [
        (str(request.public_id), str(child.public_id), 1)
    ]
    assert isinstance(seen[0]["worker"], int)
    assert structlog.contextvars.get_contextvars() == {}


def test_log_lines_from_the_event_loop_name_their_job(seen: Seen) -> None:
    job = enqueue(IO, Plan())
    run_until_idle()
    assert [line["job"] for line in seen] == [str(job.public_id)]


def test_a_failed_attempts_line_names_its_job(caplog: pytest.LogCaptureFixture) -> None:
    fields: Seen = []

    class Note(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            fields.append(structlog.contextvars.get_contextvars())

    handler = Note()
    logging.getLogger("jobs.execution").addHandler(handler)
    try:
        job = enqueue(kinds.FAIL, Plan(), max_attempts=1)
        run_until_idle()
    finally:
        logging.getLogger("jobs.execution").removeHandler(handler)
    assert [line["job"] for line in fields] == [str(job.public_id)]
