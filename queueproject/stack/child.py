"""One process of the stack, with its output in the stack's terminal."""

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from queueproject.stack.commands import PROJECT
from queueproject.stack.orphans import die_with_parent, kill_group

LINE_BYTES = 1 << 20
STOP_SECONDS = 4.0


@dataclass(frozen=True)
class Child:
    """What to run and under which name."""

    name: str
    command: list[str]
    environment: Mapping[str, str]

    async def run(self, say: Callable[[str, str], None]) -> int:
        """Run it to its end, giving each line of its output to ``say``; return its exit status.

        If cancelled, stop it first: SIGTERM, and SIGKILL for the whole group after ``STOP_SECONDS``.
        """
        process = await asyncio.create_subprocess_exec(
            *self.command,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env={**os.environ, **self.environment},
            cwd=PROJECT,
            limit=LINE_BYTES,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        reader = asyncio.create_task(self._relay(process, say))
        try:
            return await process.wait()
        finally:
            await _stop(process)
            await reader

    async def _relay(self, process: Process, say: Callable[[str, str], None]) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            say(self.name, line.decode(errors="replace").rstrip("\n"))


async def _stop(process: Process) -> None:
    try:
        if process.returncode is None:
            process.terminate()
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
    except TimeoutError:
        pass
    finally:
        kill_group(process.pid)
