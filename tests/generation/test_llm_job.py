"""The job as the queue runs it, with a model's server on loopback."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from generation.drafts import Draft
from generation.jobtypes import LLM_REASON
from generation.prompts import Prompt
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.operations.enqueue import enqueue
from jobs.states import Status
from jobs.testing import run_until_idle, steps_of
from queueproject.testing.model_server import OpenAIServer, breaks_after, never_ends, says, status
from tests.processes import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

Ask = Callable[..., Prompt]


def fresh(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def draft_of(job: Job) -> Draft:
    return Draft.model_validate(fresh(job).result)


def completed(job: Job) -> bool:
    return fresh(job).status == Status.COMPLETED


def test_what_passes_is_tried_again_until_an_answer_is_there(server: OpenAIServer, ask: Ask) -> None:
    server.will(status(429, Retry_After="3"), breaks_after("The door"), says("Fine."))
    job = enqueue(LLM_REASON, ask())
    run_until_idle()
    assert draft_of(job).text == "Fine."
    assert steps_of(job) == ["complete"]
    assert len({request.headers["Idempotency-Key"] for request in server.requests}) == 1


def test_an_answer_that_never_comes_ends_with_its_code(server: OpenAIServer, ask: Ask) -> None:
    server.will(says("The door", finish="length"))
    job = enqueue(LLM_REASON, ask())
    run_until_idle()
    assert fresh(job).status == Status.DEAD
    assert (fresh(job).error or {})["code"] == "cut_off"
    assert len(server.requests) == fresh(job).max_attempts


def test_what_the_server_said_is_in_the_timeline_and_not_in_the_requests_error(server: OpenAIServer, ask: Ask) -> None:
    server.will(status(401, "organisation org-17 has no quota"))
    job = enqueue(LLM_REASON, ask())
    run_until_idle()
    assert fresh(job).error == {"code": "llm_unauthorized", "detail": "The model's server does not know us."}
    dead = JobEvent.objects.get(job=job, event="job.dead")
    assert "org-17 has no quota" in (dead.data or {})["traceback"]


def test_a_refusal_ends_at_once(server: OpenAIServer, ask: Ask) -> None:
    server.will(says("I", finish="content_filter"))
    job = enqueue(LLM_REASON, ask())
    run_until_idle()
    assert fresh(job).status == Status.DEAD
    assert (fresh(job).error or {})["code"] == "refused"
    assert len(server.requests) == 1


@pytest.mark.integration
def test_a_worker_killed_in_the_middle_of_the_answer_asks_again_under_the_same_key(
    server: OpenAIServer, ask: Ask, stack: Stack
) -> None:
    server.will(never_ends(first="The door"), says("Fine."))
    model = {
        "LLM_PROVIDER": "openai_compatible",
        "LLM_BASE_URL": server.base_url,
        "LLM_API_KEY": "sk-secret",
        "LEASE_SECONDS": "1",
        "HEARTBEAT_SECONDS": "0.2",
    }
    stack.start("worker", "scheduler", **model)
    job = enqueue(LLM_REASON, ask())
    wait_until(lambda: fresh(job).progress, what="progress")
    assert "door" not in str(fresh(job).progress)
    stack.kill9("worker")
    stack.start("worker")
    wait_until(lambda: completed(job), timeout=60)
    assert draft_of(job).text == "Fine."
    first, second = server.requests
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
