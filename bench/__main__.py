"""``python -m bench``: what ``make bench`` runs. Prints a table and writes ``var/bench.json``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.aims import OURS
from bench.bed import Bed
from bench.measures import Measure, Row, row
from bench.systems.catalog import SYSTEMS, Entry
from bench.systems.installed import Missing
from bench.table import lines
from bench.workloads.catalog import QUEUES, WEB
from queueproject.stack.commands import PROJECT
from queueproject.stack.orphans import die_with_parent

RUN_SECONDS = 240
RESULT = PROJECT / "var" / "bench.json"
TAIL_CHARACTERS = 300


class Failed(Exception):
    """What a run printed before it failed."""


def main(workloads: Sequence[str], only: Sequence[str]) -> None:
    """These workloads (all if none) of these systems (all if none). A peer that can't be measured is told of."""
    began = time.monotonic()
    missing: list[str] = []
    with TemporaryDirectory(prefix="qp-bench-") as directory:
        bed = Bed(Path(directory))
        try:
            bed.prepare()
            rows = [row for workload in workloads or (*QUEUES, *WEB) for row in _measured(bed, workload, only, missing)]
        finally:
            bed.stop()
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(rows, indent=2) + "\n")
    notes = [f"not measured: {why}" for why in missing]
    sys.stdout.write("\n".join(["", *lines(rows), "", *notes, f"{time.monotonic() - began:.0f} s; {_machine()}", ""]))


def _measured(bed: Bed, workload: str, only: Sequence[str], missing: list[str]) -> Iterator[Row]:
    if workload in WEB:
        for label, module in WEB[workload].items():
            _tell(workload, label)
            environment = bed.fresh(module.replace(".", "_"), "migrated")
            environment["DJANGO_SETTINGS_MODULE"] = f"{module.rpartition('.')[0]}.settings"
            yield from _rows(label, _run(sys.executable, environment, module))
        return
    for name in QUEUES[workload].systems:
        if not only or name in only:
            entry = SYSTEMS[name]
            _tell(workload, entry.label)
            try:
                yield from _rows(entry.label, _of(bed, workload, name, entry))
            except (Missing, Failed) as why:
                if entry.label == OURS:
                    sys.exit(f"{workload} failed:\n{why}")
                missing.append(f"{workload} of {entry.label}: {str(why)[-TAIL_CHARACTERS:]}")


def _of(bed: Bed, workload: str, name: str, entry: Entry) -> list[Measure]:
    module, _, logged = QUEUES[workload]
    python, its = entry.python(), entry.environment()
    database = f"{name}_{workload}".replace("-", "_")
    return _run(python, bed.fresh(database, entry.database, logged=logged) | its, module, name)


def _run(python: str, environment: dict[str, str], *arguments: str) -> list[Measure]:
    """In a process of its own, with what that system is installed with."""
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


def _rows(system: str, measures: Sequence[Measure]) -> list[Row]:
    return [row(system, measure) for measure in measures]


def _tell(workload: str, system: str) -> None:
    sys.stdout.write(f"measuring {workload} of {system}\n")
    sys.stdout.flush()


def _machine() -> str:
    """What else the numbers depend on."""
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} a minute ago to now"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parser = ArgumentParser(prog="python -m bench", description="Measure the project beside its peers.")
    parser.add_argument("workloads", nargs="*", choices=[*QUEUES, *WEB], help="default: all", metavar="workload")
    parser.add_argument("--only", default="", help=f"systems, separated by commas: {', '.join(SYSTEMS)}")
    chosen = parser.parse_args()
    main(chosen.workloads, [name for name in chosen.only.split(",") if name])
