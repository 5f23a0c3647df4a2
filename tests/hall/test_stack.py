"""`make run`, run for real: what it starts, what it restarts, and that nothing outlives it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from queueproject.stack import commands
from queueproject.stack.errors import StackError
from queueproject.stack.redis import private_redis
from tests.processes import answers, free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

READY_SECONDS = 60.0


class Local:
    """A running stack, its output and the processes it started."""

    def __init__(self, directory: Path, **environment: str) -> None:
        self.log = directory / "stack.log"
        self.port = free_port()
        self.demo_file = directory / "var" / "demo.json"
        without_redis = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
        own = {"DATABASE_URL": f"sqlite:///{directory}/db.sqlite3", "PORT": str(self.port)}
        own["PYTHONPATH"] = str(commands.PROJECT)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "queueproject.stack"],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**without_redis, **own, **environment},
                cwd=directory,
            )

    def wait_ready(self) -> None:
        wait_until(lambda: "Ready." in self.output or self.process.poll() is not None, READY_SECONDS, "ready")
        assert self.process.poll() is None, self.output

    @property
    def is_ready(self) -> bool:
        return answers(f"http://127.0.0.1:{self.port}/readyz")

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def children(self) -> dict[str, psutil.Process]:
        """The processes by name."""
        words = {
            "daphne": "web",
            " worker": "worker",
            " scheduler": "scheduler",
            " serve": "serve",
            "redis-server": "redis",
        }
        found = {}
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):  # It may end while we look.
                line = " ".join(child.cmdline())
                found.update({name: child for word, name in words.items() if word in line})
        return found

    def successor(self, name: str, of: psutil.Process) -> psutil.Process:
        return wait_until(lambda: self.other(name, of), 2, f"another {name} runs")

    def other(self, name: str, than: psutil.Process) -> psutil.Process | None:
        found = self.children.get(name)
        return found if found != than else None

    def signal(self, number: int) -> int:
        """Its exit status, which is to come within five seconds."""
        self.process.send_signal(number)
        return self.process.wait(5)


Start = Callable[..., Local]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Local] = []

    def start_one(**environment: str) -> Local:
        started.append(Local(tmp_path, **environment))
        return started[-1]

    yield start_one
    for local in started:
        sys.stdout.write(local.output)
        local.process.kill()
        local.process.wait()


def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


def test_it_starts_everything_and_a_second_run_keeps_the_data(start: Start) -> None:
    games = []
    for number in (signal.SIGINT, signal.SIGTERM):
        local = start()
        local.wait_ready()
        assert local.is_ready
        started = local.children
        assert sorted(started) == ["redis", "scheduler", "web", "worker"]
        demo = json.loads(local.demo_file.read_text())
        assert demo["base_url"] == f"http://127.0.0.1:{local.port}"
        assert demo["users"].keys() == {"player1", "player2", "dm", "dm2", "admin"}
        assert all(user.keys() == {"password", "token"} for user in demo["users"].values())
        games.append([game["id"] for game in demo["games"]])
        assert local.signal(number) == 0
        assert all_gone(list(started.values()))
        assert not re.search("Traceback|redis is away", local.output)
    assert len(games[0]) == 5
    assert games[0] == games[1]


def test_with_a_transport_in_memory_it_is_one_process(start: Start) -> None:
    local = start(QUEUE_TRANSPORT="memory")
    local.wait_ready()
    assert local.is_ready
    assert sorted(local.children) == ["serve"]
    assert local.signal(signal.SIGTERM) == 0
    assert not re.search("Traceback|redis is away", local.output)


def test_what_dies_is_started_again_and_nothing_outlives_kill_9(start: Start) -> None:
    local = start()
    local.wait_ready()
    for name, first in local.children.items():
        first.kill()
        local.successor(name, first)
        assert f"The {name} died (SIGKILL); starting it again." in local.output
    wait_until(lambda: local.is_ready, READY_SECONDS, "ready again")
    last = list(local.children.values())
    local.process.kill()
    local.process.wait()
    wait_until(lambda: all_gone(last), 2, "all children are gone")


def test_five_deaths_in_a_minute_end_it_with_a_sentence(start: Start) -> None:
    local = start(REDIS_URL=os.environ["REDIS_URL"])
    local.wait_ready()
    children = local.children
    assert sorted(children) == ["scheduler", "web", "worker"], "a given Redis is used"
    web = children["web"]
    for _ in range(4):
        web.kill()
        web = local.successor("web", web)
    web.kill()
    assert local.process.wait(6) == 1
    assert local.output.splitlines()[-1] == "The web died 5 times in a minute; its lines above say why."
    assert "Traceback" not in local.output
    assert all_gone(list(children.values()))


def test_a_taken_port_is_one_clear_line(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        local = start(PORT=str(port))
        assert local.process.wait(10) == 1
        assert local.output == f"Port {port} is taken: set PORT to another.\n"


def test_a_wrong_setting_is_one_clear_line(start: Start) -> None:
    local = start(LEASE_SECONDS="soon")
    assert local.process.wait(10) == 1
    assert local.output.startswith("Wrong setting: LEASE_SECONDS=soon: ")
    assert local.output.count("\n") == 1


def test_without_any_redis_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("queueproject.stack.redis.find_spec", lambda _: None)
    with pytest.raises(StackError, match="set REDIS_URL"):
        private_redis(tmp_path)
