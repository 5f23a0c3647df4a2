"""What is forked from the nursery is as good as a new process: it is the command, and only starts sooner."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from queueproject.testing.nursery import Child, Nursery
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

OURS = {"queueproject", "games", "approvals", "generation", "jobs", "accounts", "tests"}
TELLS = """
import json, os, sys
from django.conf import settings
told = {"argv": sys.argv, "path": sys.path[0], "directory": os.getcwd(), "environment": dict(os.environ)}
told |= {"name": __name__, "file": __file__, "modules": sorted(sys.modules), "configured": settings.configured}
told |= {"leads": os.getsid(0) == os.getpgid(0) == os.getpid(), "input": sys.stdin.read()}
print(json.dumps(told))
sys.exit(3)
"""
Run = Callable[..., Child]


@pytest.fixture
def run(nursery: Nursery, tmp_path: Path) -> Run:
    def start(code: str, *arguments: str, from_: Nursery = nursery, **environment: str) -> Child:
        file = tmp_path / "command.py"
        file.write_text(code)
        command = [sys.executable, str(file), *arguments]
        return from_.start(command, environment=environment, directory=tmp_path, log=tmp_path / "log")

    return start


def test_it_is_the_command_with_its_own_environment_and_nothing_of_ours(run: Run, tmp_path: Path) -> None:
    assert run(TELLS, "one", "--two", THREE="3").wait(60) == 3
    told: dict[str, Any] = json.loads((tmp_path / "log").read_text())
    file = str(tmp_path / "command.py")
    assert told["argv"] == [file, "one", "--two"]
    assert (told["name"], told["file"], told["path"], told["directory"]) == ("__main__", file, *[str(tmp_path)] * 2)
    assert told["environment"] == {"THREE": "3"}
    assert told["leads"]
    assert told["input"] == ""
    assert "django.contrib.admin" in told["modules"], "what others wrote is there"
    assert not OURS & {name.partition(".")[0] for name in told["modules"]}
    assert not told["configured"]
    assert "twisted.internet.reactor" not in told["modules"], "two processes can't share one"


def test_a_signal_is_its_end_and_waiting_for_it_has_one_too(run: Run) -> None:
    child = run("import time; time.sleep(60)")
    assert child.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.05)
    os.killpg(child.pid, signal.SIGKILL)
    assert child.wait(60) == -signal.SIGKILL
    child.send_signal(signal.SIGTERM)  # to nobody: its number may be another's by now
    assert child.poll() == -signal.SIGKILL


def test_what_was_not_caught_is_printed_and_the_next_starts_all_the_same(run: Run, tmp_path: Path) -> None:
    assert run("raise ValueError('no')").wait(60) == 1
    assert (tmp_path / "log").read_text().endswith("ValueError: no\n")
    assert run("").wait(60) == 0


def test_nobody_outlives_it(run: Run) -> None:
    own = Nursery()
    left = psutil.Process(run("import time; time.sleep(60)", from_=own).pid)
    own.close()
    wait_until(lambda: not left.is_running())
