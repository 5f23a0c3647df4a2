"""One run of the benchmark: workload after workload, system after system, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from bench.bed import Bed
from bench.measures import Measure, Row, row
from bench.systems.catalog import SYSTEMS
from bench.systems.installed import Missing
from bench.workloads.catalog import QUEUES, WEB
from queueproject.stack.commands import PROJECT
from queueproject.stack.orphans import die_with_parent

RUN_SECONDS = 240
TAIL_CHARACTERS = 400

Part = tuple[str, Callable[[], list[Measure]]]
"""A system's name for people, and what measures it."""


class Failed(Exception):
    """The last of what a measurement said before it failed."""


class Run:
    """What has been measured, and what could not be and why."""

    def __init__(self, bed: Bed) -> None:
        self.rows: list[Row] = []
        self.missing: dict[tuple[str, str], str] = {}
        self._bed = bed

    def measure(self, workload: str, only: Sequence[str]) -> None:
        """This workload of each of its systems, or of those of ``only``. One that fails doesn't end the run."""
        for label, part in self._web(workload) if workload in WEB else self._queues(workload, only):
            sys.stdout.write(f"measuring {workload} of {label}\n")
            sys.stdout.flush()
            try:
                self.rows += [row(label, measure) for measure in part()]
            except (Missing, Failed) as why:
                self.missing[workload, label] = str(why)[-TAIL_CHARACTERS:]

    def _web(self, workload: str) -> Iterator[Part]:
        for label, module in WEB[workload].items():
            environment = self._bed.fresh(module.replace(".", "_"), "migrated")
            settings = {"DJANGO_SETTINGS_MODULE": f"{module.rpartition('.')[0]}.settings"}
            yield label, partial(_measured, sys.executable, environment | settings, module)

    def _queues(self, workload: str, only: Sequence[str]) -> Iterator[Part]:
        for name in QUEUES[workload].systems:
            if not only or name in only:
                yield SYSTEMS[name].label, partial(self._queue, workload, name)

    def _queue(self, workload: str, name: str) -> list[Measure]:
        entry, (module, _, logged) = SYSTEMS[name], QUEUES[workload]
        python, its = entry.python(), entry.environment()
        environment = self._bed.fresh(f"{name}_{workload}".replace("-", "_"), entry.database, logged=logged)
        return _measured(python, environment | its, module, name)


def _measured(python: str, environment: dict[str, str], *arguments: str) -> list[Measure]:
    """By that Python, so with what the system is installed with."""
    try:
        run = subprocess.run(
            [python, "-m", "bench.one", *arguments],
            env=environment,
            cwd=PROJECT,
            capture_output=True,
            timeout=RUN_SECONDS,
            preexec_fn=die_with_parent,
            text=True,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"no end within {RUN_SECONDS} s") from None
    if run.returncode:
        raise Failed(f"{run.stdout}\n{run.stderr.strip()}")
    return [Measure(*values) for values in json.loads(run.stdout)]
