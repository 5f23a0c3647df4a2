"""What is measured, counted and shown of the queues, and whose each log line is."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F
from django.test import Client as Browser
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from accounts import tokens
from jobs.context import JobContext
from jobs.measures import BOUNDS, RUN_TIME, Measures
from jobs.metrics import totals
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.models_metrics import Rollup
from jobs.operations import leases
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.overview import overview
from jobs.scheduler.tally import run_compact, run_tally
from jobs.testing import run_until_idle
from tests.jobs import kinds
from tests.jobs.kinds import ECHO, FAIL, IO, PARENT, Plan
from tests.processes import START_SECONDS, Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

AUTOSCALING = Path(__file__).parents[2] / "docs" / "autoscaling.md"
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


# -- measures ------------------------------------------------------------------------------------------------------

Config = Callable[..., None]
Numbers = dict[str, float]


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    for kept in (overview, totals):
        kept.forget()
    yield
    for kept in (overview, totals):
        kept.forget()


@pytest.fixture
def superuser(client: Browser) -> Browser:
    client.force_login(User.objects.create_superuser("admin"))
    return client


def scrape(client: Browser) -> Numbers:
    """Every sample by name and label values."""
    overview.forget()
    totals.forget()
    text = client.get("/metrics").content.decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {_name(sample): sample.value for sample in samples}


def _name(sample: Sample) -> str:
    labels = sorted(sample.labels.items(), key=lambda label: label[0] != "queue")
    return " ".join([sample.name.removeprefix("queueproject_"), *(value for _, value in labels)])


def test_the_example_for_autoscaling_asks_for_metrics_that_there_are(superuser: Browser) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", AUTOSCALING.read_text(encoding="utf-8"), re.DOTALL)
    triggers = yaml.safe_load(example)["spec"]["triggers"]
    asked = [re.fullmatch(r'max\((\w+)\{queue="(\w+)"\}\)', each["metadata"]["query"]) for each in triggers]
    names = {f"{found[1].removeprefix('queueproject_')} {found[2]}" for found in asked if found}
    assert len(names) == len(triggers) == 2
    assert names <= scrape(superuser).keys(), "also while nothing waits"
    assert all(isinstance(value, str) for each in triggers for value in each["metadata"].values())


def tally() -> None:
    """Count all there is, batch by batch; the events' numbers begin where the tests before ended."""
    while run_tally() == 0:
        pass


def let_time_pass() -> None:
    """Events become old enough to be counted."""
    JobEvent.objects.update(at=F("at") - timedelta(seconds=10))


def test_depth_age_and_slots_are_read_from_the_record(superuser: Browser, config: Config) -> None:
    config(lease_seconds=60)
    leases.register(name="w", queues=["system", "llm"], slots=4)
    enqueue(ECHO, Plan())
    enqueue(ECHO, Plan(), delay=timedelta(hours=1))
    Job.objects.update(queued_at=F("queued_at") - timedelta(minutes=10))
    found = scrape(superuser)
    assert found["queue_depth system"] == 1
    assert 600 <= found["queue_oldest_seconds system"] < 700
    assert found["queue_delayed system"] == 1
    assert (found["queue_workers llm"], found["queue_slots llm"], found["slots"]) == (1, 4, 4)
    assert found["queue_depth dm_approvals"] == 0
    assert found["scheduler_leads"] == 0


def test_every_end_and_retry_is_counted_once(superuser: Browser) -> None:
    enqueue(ECHO, Plan())
    enqueue(FAIL, Plan(), max_attempts=2)
    run_until_idle()
    tally()
    assert "jobs_ended_total system completed" not in scrape(superuser), "counted before its transaction surely ended"
    let_time_pass()
    tally()
    tally()
    found = scrape(superuser)
    assert found["jobs_ended_total system completed"] == 1
    assert found["jobs_ended_total system dead"] == 1
    assert found["job_retries_total system"] == 1
    assert found["job_total_seconds_count system"] == 1


def test_what_a_result_took_is_counted_by_its_minute_and_bucket() -> None:
    jobs = enqueue_many(ECHO, [Plan()] * 3)
    run_until_idle()
    ended = datetime(2026, 1, 1, 12, 0, 59, 999_000, tzinfo=UTC)
    since = [timedelta(seconds=20), timedelta(seconds=30), timedelta(seconds=-3)]  # the last by another clock
    for job, took, begun in zip(jobs, since, [None, ended - timedelta(seconds=0.2), ended], strict=True):
        Job.objects.filter(pk=job.pk).update(created_at=ended - took, started_at=begun)
    JobEvent.objects.filter(event="job.completed").update(at=ended)
    JobEvent.objects.exclude(event="job.completed").update(at=F("at") - timedelta(seconds=10))
    tally()
    rows = {row.measure: row for row in Rollup.objects.filter(minute=ended.replace(second=0, microsecond=0))}
    assert (rows["job.completed"].count, rows["job.completed"].buckets) == (3, [])
    assert (rows["total"].count, round(rows["total"].seconds, 2), filled(rows["total"])) == (3, 50, {0.005: 1, 30: 2})
    assert (round(rows["service"].seconds, 2), filled(rows["service"])) == (20.2, {0.005: 1, 0.25: 1, 30: 1})


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite does not say how many rows there are")
def test_counting_a_hundred_jobs_fetches_a_row_for_each_kind_of_end() -> None:
    jobs = enqueue_many(ECHO, [Plan()] * 100)
    run_until_idle()
    JobEvent.objects.update(at=F("at") - timedelta(days=1))
    for n, job in enumerate(jobs):
        Job.objects.filter(pk=job.pk).update(created_at=F("created_at") - timedelta(days=1, milliseconds=n))
    fetched: list[int] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        result = execute(sql, params, many, context)
        fetched.append(context["cursor"].rowcount)
        return result

    with connection.execute_wrapper(note):
        tally()
    assert sum(Rollup.objects.filter(measure="job.completed").values_list("count", flat=True)) == 100
    assert max(fetched) < 50


def filled(row: Rollup) -> dict[float, int]:
    """How many are in each bucket that has any, by its upper bound."""
    return {bound: count for bound, count in zip(BOUNDS, row.buckets, strict=False) if count}


def test_pruned_jobs_and_old_minutes_stay_counted(superuser: Browser) -> None:
    for _ in range(3):
        enqueue(ECHO, Plan())
    run_until_idle()
    let_time_pass()
    tally()
    before = scrape(superuser)
    Rollup.objects.update(minute=F("minute") - timedelta(days=1))
    long_ago = timezone.now() - timedelta(days=1)
    Rollup.objects.create(minute=long_ago, queue="system", measure="job.dead", count=2)
    run_compact()
    JobEvent.objects.all().delete()
    after = scrape(superuser)
    assert not Rollup.objects.filter(minute__isnull=False).exists()
    assert after.pop("jobs_ended_total system dead") == 2
    assert {name: value for name, value in after.items() if "total" in name} == {
        name: value for name, value in before.items() if "total" in name
    }


def test_sums_of_old_minutes_are_added_to(superuser: Browser) -> None:
    measures = Measures()
    for _ in range(2):
        measures.add("llm", RUN_TIME, 0.3)
        measures.add("llm", RUN_TIME, 7200.0)
        measures.flush()
        Rollup.objects.filter(minute__isnull=False).update(minute=F("minute") - timedelta(days=1))
        run_compact()
    assert Rollup.objects.count() == 1
    found = scrape(superuser)
    assert found["job_run_seconds_count llm"] == 4
    assert found["job_run_seconds_sum llm"] == pytest.approx(14400.6)
    assert [found[f"job_run_seconds_bucket llm {bound}"] for bound in (0.25, 0.5, 3600.0, "+Inf")] == [0, 2, 2, 4]
    assert len(BOUNDS) + 1 == len(Rollup.objects.get().buckets)


def test_workers_write_down_how_long_jobs_waited_and_ran(stack: Stack, superuser: Browser) -> None:
    stack.start("worker", ROLLUP_SECONDS="0.2")
    enqueue(kinds.SLEEP, Plan(seconds=0.3))
    wait_until(lambda: Rollup.objects.filter(queue="system").count() >= 2, START_SECONDS, "rollup rows")
    found = scrape(superuser)
    assert found["job_run_seconds_sum system"] >= 0.3
    assert found["job_queue_seconds_count system"] == 1


def test_what_was_measured_last_is_written_at_shutdown(stack: Stack) -> None:
    stack.start("worker", ROLLUP_SECONDS="3600")
    job = enqueue(ECHO, Plan())
    wait_until(lambda: Job.objects.get(pk=job.pk).ended, START_SECONDS)
    assert not Rollup.objects.exists()
    stack.stop("worker")
    assert set(Rollup.objects.values_list("measure", flat=True)) == {"queue", "run"}


# -- who may read them ---------------------------------------------------------------------------------------------


def ask(client: Browser, token: str) -> int:
    return client.get("/metrics", headers={"authorization": f"Bearer {token}"}).status_code


def test_metrics_are_for_superusers_and_for_staff_with_a_token_of_that_scope(client: Browser, config: Config) -> None:
    config(metrics_token="the token of the scraper")
    staff, player = User.objects.create_user("staff", is_staff=True), User.objects.create_user("player")
    assert client.get("/metrics").status_code == 401
    assert ask(client, tokens.issue(staff, "t", ["metrics"])[1]) == 200
    assert ask(client, tokens.issue(staff, "t", ["read", "decide"])[1]) == 401
    assert ask(client, tokens.issue(player, "t", ["metrics"])[1]) == 401
    assert ask(client, "the token of the scraper") == 200
    assert ask(client, "the token of the Scraper") == 401
    client.force_login(staff)
    assert client.get("/metrics").status_code == 403
    config(metrics_token="")
    assert ask(client, "") == 401
