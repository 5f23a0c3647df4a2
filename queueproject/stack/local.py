"""The whole on one machine: Redis, migrations, the demo, web, worker and scheduler, kept alive together."""

import asyncio
import json
import os
import signal
import socket
import time
from asyncio import TaskGroup
from collections import deque
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Never
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from queueproject.env import Config
from queueproject.stack import commands, demo
from queueproject.stack.child import Child
from queueproject.stack.errors import StackError
from queueproject.stack.redis import private_redis
from queueproject.stack.terminal import STACK, say

DEATHS = 5
DEATHS_SECONDS = 60.0
RESTART_SECONDS = 0.2
PATIENCE_SECONDS = 10.0
DEMO_FILE = Path("var") / "demo.json"


class Stack:
    """Runs until it is cancelled, or raises ``StackError``; either way it leaves no process."""

    def __init__(self, config: Config, directory: Path) -> None:
        self._config = config
        self._directory = directory
        self._base_url = f"http://127.0.0.1:{config.port}"
        self._environment = {"PYTHONUNBUFFERED": "1", "SHUTDOWN_SECONDS": os.environ.get("SHUTDOWN_SECONDS", "3")}

    async def run(self) -> None:
        """Start everything in order, say when it is ready, and keep it running."""
        DEMO_FILE.unlink(missing_ok=True)
        _require_free(self._config.port)
        async with TaskGroup() as beneath:  # Redis, which is to stop after those that use it.
            self._start_redis(beneath)
            async with TaskGroup() as group:
                await self._once("migrate", "migrate", "--verbosity", "0")
                made = self._directory / "demo.json"
                await self._once("demo", "demo", "--json", str(made))
                for name, command in self._processes().items():
                    self._keep(group, name, command)
                await self._ready()
                self._announce(demo.read(made))

    def _processes(self) -> dict[str, list[str]]:
        if self._config.queue_transport == "memory":
            return {"serve": commands.serve(self._config.port)}
        return {
            "web": commands.web(self._config.port),
            "worker": commands.worker(),
            "scheduler": commands.scheduler(),
        }

    def _announce(self, made: demo.Demo) -> None:
        demo.publish(made, self._base_url, DEMO_FILE)
        for line in demo.describe(made, self._base_url):
            say(STACK, line)
        say(STACK, "Ready. Ctrl-C stops it.")

    def _start_redis(self, group: TaskGroup) -> None:
        if os.environ.get("REDIS_URL") or self._config.queue_transport == "memory":
            return
        redis = private_redis(self._directory)
        self._environment["REDIS_URL"] = redis.url
        self._keep(group, "redis", redis.command)
        say(STACK, f"Redis          {redis.url}")

    async def _once(self, name: str, *arguments: str) -> None:
        if status := await Child(name, commands.manage(*arguments), self._environment).run(say):
            raise StackError(f"{name} failed with exit status {status}.")

    def _keep(self, group: TaskGroup, name: str, command: list[str]) -> None:
        group.create_task(self._keep_alive(Child(name, command, self._environment)))

    async def _keep_alive(self, child: Child) -> Never:
        deaths: deque[float] = deque(maxlen=DEATHS)
        while True:
            status = await child.run(say)
            deaths.append(time.monotonic())
            if len(deaths) == DEATHS and deaths[-1] - deaths[0] < DEATHS_SECONDS:
                raise StackError(f"The {child.name} died {DEATHS} times in a minute; its lines above say why.")
            say(STACK, f"The {child.name} died ({_describe(status)}); starting it again.")
            await asyncio.sleep(RESTART_SECONDS)

    async def _ready(self) -> None:
        complained = time.monotonic()
        while missing := await asyncio.to_thread(_what_is_missing, self._base_url):
            if time.monotonic() - complained > PATIENCE_SECONDS:
                complained = time.monotonic()
                say(STACK, f"Still waiting: {missing}")
            await asyncio.sleep(RESTART_SECONDS)


def run(config: Config) -> str | None:
    """Run the stack to its end; return why it ended, unless it was told to."""
    with TemporaryDirectory(prefix="queueproject-") as directory:
        try:
            asyncio.run(_until_told(Stack(config, Path(directory))))
        except StackError as error:
            return str(error)
        except ExceptionGroup as errors:
            if expected := errors.subgroup(StackError):
                return str(_innermost(expected))
            raise
    return None


async def _until_told(stack: Stack) -> None:
    task = asyncio.ensure_future(stack.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        say(STACK, "Stopped.")


def _innermost(error: Exception) -> Exception:
    """Task groups wrap what ends them, once for each that it passes."""
    return _innermost(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StackError(f"Port {port} is taken: set PORT to another.") from error


def _what_is_missing(base_url: str) -> str:
    """Nothing when the web process says that all is there."""
    try:
        with urlopen(f"{base_url}/readyz", timeout=2) as response:
            checks = json.load(response)["checks"]
    except HTTPError as error:
        checks = json.load(error)["checks"] if error.code == HTTPStatus.SERVICE_UNAVAILABLE else {"web": str(error)}
    except (URLError, OSError) as error:
        return f"the web process does not answer ({error})"
    return "; ".join(f"{name}: {found}" for name, found in checks.items() if found != "ok")


def _describe(status: int) -> str:
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name
