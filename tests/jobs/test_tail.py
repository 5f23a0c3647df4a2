"""A job's own stream: its log line by line and how it stands, live, kept, and for those who may look."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from redis import Redis

from accounts import tokens
from accounts.models import Scope
from accounts.threads import in_thread
from jobs.models import Job
from jobs.models_steps import JobLog
from jobs.operations import logs
from jobs.operations.enqueue import enqueue
from jobs.operations.progress import keep
from jobs.streams.tails import Tails
from jobs.testing import run_until_idle
from jobs.transport import job_group_name, transport
from tests.jobs.kinds import ECHO, FAIL, TELLTALE, Plan
from tests.processes import Stack
from tests.sse import Streaming, streaming
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)


def operator(*rights: str, name: str = "ada") -> dict[str, str]:
    """The headers of a program that acts for staff with these rights."""
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    return {"Authorization": f"Bearer {tokens.issue(user, 'test', [Scope.READ])[1]}"}


def inspector() -> dict[str, str]:
    return operator("view_job", "inspect_job")


async def listeners(job: Job, count: int) -> bool:
    """Whether so many processes listen for news of the job."""
    channel = f"asgi__group__{job_group_name(job.pk)}"
    with Redis.from_url(settings.CONFIG.redis_url) as client:
        return bool(client.pubsub_numsub(channel) == [(channel.encode(), count)])


def forbid() -> None:
    User.objects.get(username="ada").user_permissions.clear()


def address(job: Job) -> str:
    return f"/v1/events/jobs/{job.public_id}"


def write(job: Job, *texts: str) -> None:
    for text in texts:
        logs.write(job, text, count=1)


async def texts(stream: Streaming, count: int) -> list[str]:
    return [(await stream.event("job.log")).data["text"] for _ in range(count)]


async def test_whoever_opens_it_gets_the_lines_there_are_how_the_job_stands_and_then_what_comes(
    config: Callable[..., None],
) -> None:
    config(follow_seconds=0.05)
    job, headers = await in_thread(enqueue, ECHO, Plan()), await in_thread(inspector)
    await in_thread(write, job, "one", "two")
    async with streaming(address(job), headers) as stream:
        assert await texts(stream, 2) == ["one", "two"]
        changed = await stream.event("job.changed")
        assert changed.data == {"status": "queued", "run": 1, "attempt": 1, "progress": None}
        assert changed.id is None, "how it stands is read anew: the cursor is a line's"
        await in_thread(write, job, "three")
        assert await texts(stream, 1) == ["three"]
        await in_thread(keep, [(job, {"percent": 40})])
        assert (await stream.event("job.changed")).data["progress"] == {"percent": 40}
        await in_thread(run_until_idle)
        assert (await stream.event("job.changed")).data["status"] == "completed"
        assert [block.event for block in await stream.rest()] == [], "it ends with its job"


async def test_news_comes_with_the_wake_up_as_long_as_somebody_listens(config: Callable[..., None]) -> None:
    config(follow_seconds=60)
    job, headers = await in_thread(enqueue, ECHO, Plan()), await in_thread(inspector)
    async with streaming(address(job), headers) as stream:
        await stream.event("job.changed")
        await await_until(lambda: listeners(job, 1))
        await in_thread(write, job, "said")
        await in_thread(transport().say, [], [job.pk])
        assert await texts(stream, 1) == ["said"]
    await await_until(lambda: listeners(job, 0))


async def test_who_comes_back_gets_what_follows_and_after_the_end_nothing(config: Callable[..., None]) -> None:
    job, headers = await in_thread(enqueue, ECHO, Plan()), await in_thread(inspector)
    await in_thread(write, job, "one", "two", "three")
    first = await in_thread(lambda: JobLog.objects.earliest("pk").pk)
    async with streaming(address(job), {**headers, "Last-Event-ID": str(first)}) as stream:
        assert await texts(stream, 2) == ["two", "three"]
        cursor = stream.cursor
    await in_thread(run_until_idle)
    async with streaming(address(job), headers, query=f"last_event_id={cursor}") as stream:
        assert stream.status == 204, "a browser that comes back stops"


async def test_lines_and_progress_are_for_those_who_may_see_what_jobs_hold() -> None:
    job, headers = await in_thread(enqueue, TELLTALE, Plan()), await in_thread(operator, "view_job")
    await in_thread(write, job, "a secret")
    await in_thread(keep, [(job, {"said": "a secret"})])
    async with streaming(address(job), headers) as stream:
        assert (await stream.event()).data == {"status": "queued", "run": 1, "attempt": 1, "progress": None}


@pytest.mark.parametrize("rights", [(), ("cancel_job",)])
async def test_to_a_stranger_there_is_no_job(rights: tuple[str, ...]) -> None:
    job = await in_thread(enqueue, ECHO, Plan())
    async with streaming(address(job), await in_thread(operator, *rights)) as stream:
        assert stream.status == 404
    async with streaming(address(job), {}) as stream:
        assert stream.status == 401


async def test_a_right_that_ends_ends_what_is_seen(config: Callable[..., None]) -> None:
    config(socket_recheck_seconds=0.05, follow_seconds=0.05)
    job, headers = await in_thread(enqueue, ECHO, Plan()), await in_thread(inspector)
    async with streaming(address(job), headers) as stream:
        await stream.event("job.changed")
        await in_thread(forbid)
        assert (await stream.event("closed")).data["code"] == "forbidden"


async def test_of_those_who_watch_only_they_look_whose_job_has_changed() -> None:
    tails = Tails()
    jobs = [await in_thread(enqueue, ECHO, Plan()) for _ in range(5)]
    with tails.of(jobs[0].pk) as first, tails.of(jobs[1].pk) as second, tails.of(jobs[1].pk) as third:
        await tails.ask()
        for news in (first, second, third):
            news.clear()
        await in_thread(write, jobs[1], "said")
        await tails.ask()
        assert [news.is_set() for news in (first, second, third)] == [False, True, True]
    assert not tails.watched


def test_of_a_job_the_newest_lines_are_kept_and_a_long_one_is_cut_off(config: Callable[..., None]) -> None:
    config(log_lines=5, log_characters=10)
    job = enqueue(ECHO, Plan())
    for count in range(101):
        logs.write(job, f"line {count}" if count % 2 else f"line {count} \x00 and on and on", count=count)
    kept = list(JobLog.objects.order_by("pk").values_list("text", flat=True))
    assert kept == ["line 96 �…", "line 97", "line 98 �…", "line 99", "line 100 …"]


def test_what_a_job_writes_in_each_attempt_is_kept_in_its_order() -> None:
    job = enqueue(FAIL, Plan(do="recover"))
    run_until_idle()
    assert JobLog.objects.filter(job=job).count() == 0
    telltale = enqueue(TELLTALE, Plan())
    run_until_idle()
    assert [*telltale.logs.values_list("attempt", "text")] == [(1, "a secret line")]


@pytest.mark.integration
async def test_what_a_worker_writes_reaches_a_reader_at_once(stack: Stack, config: Callable[..., None]) -> None:
    config(follow_seconds=60)
    job, headers = await in_thread(enqueue, TELLTALE, Plan()), await in_thread(inspector)
    async with streaming(address(job), headers) as stream:
        await in_thread(stack.start, "worker")
        assert (await stream.event("job.log")).data["text"] == "a secret line"
