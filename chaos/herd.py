"""The processes under fire: whoever dies is started again, as a supervisor would."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

from queueproject.stack import commands
from queueproject.stack.orphans import die_with_parent, kill_group

EVERY_SECONDS = 0.1
STOP_SECONDS = 10.0


class Herd:
    """Workers and schedulers by name. One thread starts all of them: they die with the thread that started them."""

    def __init__(self, environment: dict[str, str], logs: Path, *, workers: int, schedulers: int) -> None:
        self._environment = {**os.environ, **environment}
        self._logs = logs
        self.workers = [f"worker.{number}" for number in range(workers)]
        self.schedulers = [f"scheduler.{number}" for number in range(schedulers)]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper")

    def start(self) -> None:
        self._logs.mkdir(parents=True, exist_ok=True)
        for old in self._logs.glob("*.log"):
            old.unlink()
        self._keeper.start()

    def stop(self) -> None:
        """Ask all to stop; kill what does not."""
        self._ended.set()
        self._keeper.join()

    def pid(self, name: str) -> int | None:
        """The process that lives under this name, if one does."""
        process = self._processes.get(name)
        return process.pid if process and process.poll() is None else None

    def signal(self, name: str, number: int) -> int | None:
        """Send it a signal; the process id, if there is one to send to."""
        if pid := self.pid(name):
            with suppress(ProcessLookupError):
                os.killpg(pid, number)
        return pid

    def children(self, name: str) -> list[int]:
        """The processes of their own that jobs of this worker run in."""
        pid = self.pid(name)
        return processes_of_jobs(pid) if pid else []

    def _keep(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            for name in (*self.workers, *self.schedulers):
                if self.pid(name) is None:
                    self._processes[name] = self._spawn(name)
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            kill_group(process.pid)

    def _spawn(self, name: str) -> subprocess.Popen[bytes]:
        command = commands.worker() if name in self.workers else commands.scheduler()
        with (self._logs / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=commands.PROJECT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )


def processes_of_jobs(pid: int) -> list[int]:
    """Those that jobs of the worker with this process id have to themselves: they lead sessions, its others don't."""
    return [child for child in _descendants(pid) if _leads(child)]


def _descendants(pid: int) -> list[int]:
    """The children of a process, theirs, and so on."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *_descendants(child)]
    return found


def _leads(pid: int) -> bool:
    with suppress(ProcessLookupError):
        return os.getsid(pid) == pid
    return False
