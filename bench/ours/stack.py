"""Our own processes, as they are deployed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from jobs.jobtypes import ALERT
from jobs.models import Worker
from tests.processes import Stack
from tests.waiting import wait_until


@contextmanager
def running(*names: str) -> Iterator[Stack]:
    """These processes, and what they printed if anything goes wrong."""
    with TemporaryDirectory(prefix="qp-bench-logs-") as directory:
        stack = Stack(Path(directory))
        try:
            stack.start(*names)
            wait_until(Worker.objects.exclude(queues=[ALERT.queue]).exists, timeout=30, what="a worker")
            yield stack
        except BaseException:
            stack.print_logs()
            raise
        finally:
            stack.kill_all()
