"""Real web, worker and scheduler processes for tests, to talk to, to kill and to start again."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import urlopen

from django.db import connection

from queueproject.stack import commands
from queueproject.stack.orphans import die_with_parent, kill_group
from queueproject.testing.nursery import Nursery, Process
from queueproject.testing.waiting import wait_until

START_SECONDS = 90.0
LOG_CHARACTERS = 4000


class Stack:
    """Processes by name: "web", "worker", "scheduler", or "worker.2" and so on for more of a kind.

    With a ``nursery`` they start quickly, and share memory with it.
    """

    def __init__(self, directory: Path, nursery: Nursery | None = None) -> None:
        self._directory = directory
        self._nursery = nursery
        self._processes: dict[str, Process] = {}
        self._environment: dict[str, str] = {}
        self._ports: dict[str, int] = {}
        self.port = self.port_of("web")
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}"

    def start(
        self, *names: str, arguments: Sequence[str] = (), project: Path | str = commands.PROJECT, **environment: str
    ) -> None:
        """Start these, or one of each kind, with settings as in ``LEASE_SECONDS="1"``; wait until they are ready.

        ``arguments`` go to their commands; ``project`` is another checkout to run the code of.
        """
        self._environment |= environment
        for name in names or ("web", "worker", "scheduler"):
            self._processes[name] = self._spawn(name, [*arguments], project)
        if "web" in self._processes:
            wait_until(self._answers, timeout=START_SECONDS, what=f"the stack in {self._directory}")

    def port_of(self, name: str) -> int:
        """Where this web process listens."""
        if name not in self._ports:
            self._ports[name] = free_port()
        return self._ports[name]

    def kill9(self, name: str) -> None:
        """End it as a crash would."""
        kill_group(self._processes[name].pid)
        self._processes.pop(name).wait()

    def signal(self, name: str, number: int = signal.SIGTERM) -> None:
        self._processes[name].send_signal(number)

    def wait(self, name: str, timeout: float = START_SECONDS) -> int:
        """Its exit status, once it has ended."""
        status = self._processes[name].wait(timeout)
        del self._processes[name]
        return status

    def stop(self, name: str) -> int:
        """Ask it to stop, and wait until it has."""
        self.signal(name)
        return self.wait(name)

    def restart(self, name: str) -> None:
        """Stop it and start it with the same settings."""
        self.stop(name)
        self.start(name)

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    def log(self, name: str) -> str:
        """Everything it and its predecessors of this name have printed."""
        file = self._log_file(name)
        return file.read_text(errors="replace") if file.exists() else ""

    def print_logs(self) -> None:
        """For pytest to show when the test failed."""
        for file in sorted(self._directory.glob("*.log")):
            sys.stdout.write(f"--- {file.name}\n{file.read_text(errors='replace')[-LOG_CHARACTERS:]}\n")

    def kill_all(self) -> None:
        """End the rest as a crash would: who is asked to stop takes seconds, and there are tests of that."""
        for name in list(self._processes):
            self.kill9(name)

    def _spawn(self, name: str, arguments: list[str], project: Path | str) -> Process:
        python, *rest = self._command(name)
        command = [python, *(part.replace(str(commands.PROJECT), str(project)) for part in rest), *arguments]
        ours = {"DATABASE_URL": database_url(), "PYTHONPATH": python_path()}
        environment = {**os.environ, **ours, **self._environment}
        start = self._nursery.start if self._nursery else spawn
        return start(command, environment=environment, directory=Path(project), log=self._log_file(name))

    def _command(self, name: str) -> list[str]:
        match name.partition(".")[0]:
            case "web":
                return commands.web(self.port_of(name))
            case "serve":
                return commands.serve(self.port_of(name))
            case "worker":
                return commands.worker()
            case "scheduler":
                return commands.scheduler()
        raise KeyError(name)

    def _log_file(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    def _answers(self) -> bool:
        """All of ours that were started are ready; what a test left out may be missing."""
        for name, process in self._processes.items():
            assert process.poll() is None, f"{name} ended:\n{self.log(name)}"
        complete = {name.partition(".")[0] for name in self._processes} >= {"web", "worker", "scheduler"}
        return answers(f"{self.base_url}/{'readyz' if complete else 'healthz'}")


def spawn(
    command: Sequence[str], *, environment: Mapping[str, str], directory: Path, log: Path
) -> subprocess.Popen[bytes]:
    """Run this in a session of its own; ``log`` gets all that it prints. It ends with the thread that called."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=directory,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )


def answers(url: str) -> bool:
    """Whether a GET gives a success."""
    try:
        with urlopen(url, timeout=2):
            return True
    except HTTPError as error:
        error.close()
        return False
    except (URLError, OSError):
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def python_path() -> str:
    """Where the tests' own modules are found, for other processes: what is neither installed nor the project's."""
    known = {str(commands.PROJECT), ""}
    installed = (sys.prefix, sys.base_prefix)
    return os.pathsep.join(path for path in sys.path if path not in known and not path.startswith(installed))


def database_url() -> str:
    """The address of the database that this test run uses, for other processes."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))
