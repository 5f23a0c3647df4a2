"""What /healthz and /readyz say, with real processes."""

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.processes import Stack
from tests.servers import Redis
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


def readiness(stack: Stack) -> tuple[int, dict[str, Any]]:
    try:
        with urlopen(f"{stack.base_url}/readyz") as response:
            return response.status, json.load(response)
    except HTTPError as error:
        return error.code, json.load(error)


def test_ready_when_all_runs_and_not_when_the_worker_is_gone(stack: Stack) -> None:
    stack.start()
    assert readiness(stack) == (
        200,
        {
            "status": "ok",
            "checks": dict.fromkeys(("database", "migrations", "redis", "worker", "scheduler"), "ok"),
            "alerts": [],
        },
    )
    stack.kill9("worker")
    wait_until(lambda: readiness(stack)[0] == 503, what="readiness notices")
    assert readiness(stack)[1]["checks"]["worker"] == "not ready: no worker was seen lately: run `manage.py worker`"
    with urlopen(f"{stack.base_url}/healthz") as response:
        assert json.load(response) == {"status": "ok"}
    stack.start("worker")
    assert readiness(stack)[0] == 200


def test_degraded_and_still_ready_without_redis(stack: Stack, redis_server: Redis) -> None:
    stack.start()
    redis_server.stop()
    status, report = readiness(stack)
    assert status == 200
    assert report["status"] == "degraded"
    assert report["checks"]["redis"].startswith("degraded: ")
    redis_server.start()
    wait_until(lambda: readiness(stack)[1]["status"] == "ok", what="recovery")


def test_not_ready_without_a_scheduler(stack: Stack) -> None:
    stack.start("web", "worker")
    wait_until(lambda: readiness(stack)[1]["checks"]["worker"] == "ok", what="the worker is seen")
    status, report = readiness(stack)
    assert status == 503
    assert "manage.py scheduler" in report["checks"]["scheduler"]
