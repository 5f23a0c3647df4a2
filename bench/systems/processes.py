"""The worker processes of a system: started, held still while work piles up, looked at, and gone at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.cpu import cpu_seconds
from bench.memory import session
from bench.systems.system import Command
from queueproject.stack.commands import PROJECT
from queueproject.stack.orphans import die_with_parent

BOOT_SECONDS = 60
AT_LEAST_SECONDS = 1.0
LOOK_SECONDS = 0.4
IDLE_SHARE = 0.06
"""Of one core: less than this for two looks in a row, and everything has started."""
STOP_SECONDS = 5
TAIL_CHARACTERS = 2000


class Processes:
    """Workers, and what has to run beside them. Each leads a session, so that all it starts can be found."""

    def __init__(self, workers: Sequence[Command], beside: Sequence[Command], logs: Path) -> None:
        self._log = logs / "workers.log"
        self._processes = [self._spawn(command) for command in (*workers, *beside)]
        self.workers = [process.pid for process in self._processes[: len(workers)]]

    def await_idle(self) -> None:
        """Wait until they have started: until they use hardly any CPU. ``RuntimeError`` if one ended instead."""
        time.sleep(AT_LEAST_SECONDS)
        quiet, ends_at = 0, time.monotonic() + BOOT_SECONDS
        while quiet < 2:
            before = self.cpu_seconds()
            time.sleep(LOOK_SECONDS)
            quiet = quiet + 1 if self.cpu_seconds() - before < IDLE_SHARE * LOOK_SECONDS else 0
            if any(process.poll() is not None for process in self._processes):
                raise RuntimeError(f"a worker ended: {self.tail()}")
            if time.monotonic() > ends_at:
                raise RuntimeError(f"the workers never came to rest: {self.tail()}")

    def cpu_seconds(self) -> float:
        """What all of them and all they started have used."""
        return sum(cpu_seconds(process.pid) for process in self._processes)

    @contextmanager
    def held(self) -> Iterator[None]:
        """No worker runs until the block ends."""
        self._signal(signal.SIGSTOP, self.workers)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT, self.workers)

    def stop(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        self._signal(signal.SIGKILL, [process.pid for process in self._processes])
        for process in self._processes:
            process.wait()

    def tail(self) -> str:
        """The last of what they printed."""
        return self._log.read_text(errors="replace")[-TAIL_CHARACTERS:]

    @staticmethod
    def _signal(number: int, leaders: Sequence[int]) -> None:
        for pid in session(*leaders):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _spawn(self, command: Command) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
