"""``python -m bench``: what ``make bench`` runs. Prints a table and writes ``var/bench.json``."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.aims import OURS
from bench.bed import Bed
from bench.run import Run
from bench.systems.catalog import SYSTEMS
from bench.table import lines
from bench.workloads.catalog import QUEUES, WEB
from queueproject.stack.commands import PROJECT

RESULT = PROJECT / "var" / "bench.json"


def main(workloads: Sequence[str], only: Sequence[str]) -> int:
    """These workloads (all if none) of these systems (all if none); 1 if anything of ours could not be measured."""
    began = time.monotonic()
    with TemporaryDirectory(prefix="qp-bench-") as directory:
        bed = Bed(Path(directory))
        run = Run(bed)
        try:
            bed.prepare()
            for workload in workloads or (*QUEUES, *WEB):
                run.measure(workload, only)
        finally:
            bed.stop()
            _tell(run, time.monotonic() - began)
    return int(any(label.startswith(OURS) for _, label in run.missing))


def _tell(run: Run, seconds: float) -> None:
    """What has been measured, also by a run that was stopped."""
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(run.rows, indent=2) + "\n")
    missing = [f"not measured: {workload} of {label}: {why}" for (workload, label), why in run.missing.items()]
    sys.stdout.write("\n".join(["", *lines(run.rows), "", *missing, f"{seconds:.0f} s; {_machine()}", ""]))


def _machine() -> str:
    """What else the numbers depend on."""
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} a minute ago to now"


def _workload(name: str) -> str:
    return _one_of([*QUEUES, *WEB], name)


def _systems(names: str) -> list[str]:
    return [_one_of(list(SYSTEMS), name) for name in names.split(",")]


def _one_of(known: list[str], name: str) -> str:
    if name not in known:
        raise ArgumentTypeError(f"there is no {name!r}; there are {', '.join(known)}")
    return name


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parser = ArgumentParser(prog="python -m bench", description="Measure the project beside its peers.")
    parser.add_argument("workloads", nargs="*", type=_workload, metavar="workload", help="default: all")
    parser.add_argument("--only", default=[], type=_systems, help="of these systems, separated by commas")
    chosen = parser.parse_args()
    sys.exit(main(chosen.workloads, chosen.only))
