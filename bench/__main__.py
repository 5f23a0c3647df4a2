"""``python -m bench``: what ``make bench`` runs. Prints a table and writes ``var/bench.json``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.bed import Bed
from bench.measures import Measure, Row, row
from bench.table import OURS, THEIRS, lines
from queueproject.stack.commands import PROJECT
from queueproject.stack.orphans import die_with_parent

SYSTEMS = {OURS: "ours", THEIRS: "peer"}
WORKLOADS = {
    "start": (OURS, THEIRS),
    "drain": (OURS,),
    "watch": (OURS,),
    "crowd": (OURS,),
    "sleep": (OURS, THEIRS),
    "submit": (OURS, THEIRS),
    "chat": (OURS,),
}
RUN_SECONDS = 120
RESULT = PROJECT / "var" / "bench.json"


def main(chosen: list[str]) -> None:
    began = time.monotonic()
    with TemporaryDirectory(prefix="qp-bench-") as directory:
        bed = Bed(Path(directory))
        try:
            bed.prepare()
            rows = [row for workload in chosen or WORKLOADS for row in _measured(bed, workload)]
        finally:
            bed.stop()
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(rows, indent=2) + "\n")
    sys.stdout.write("\n".join(["", *lines(rows), "", f"{time.monotonic() - began:.0f} s; {_machine()}", ""]))


def _measured(bed: Bed, workload: str) -> Iterator[Row]:
    for system in WORKLOADS[workload]:
        sys.stdout.write(f"measuring {workload} of {system}\n")
        sys.stdout.flush()
        for measure in _run(f"bench.{SYSTEMS[system]}.{workload}", bed.fresh(f"{SYSTEMS[system]}_{workload}")):
            yield row(system, measure)


def _run(module: str, environment: dict[str, str]) -> list[Measure]:
    """In a process of its own; what it printed, if it fails, ends the benchmark."""
    run = subprocess.run(
        [sys.executable, "-m", "bench.one", module],
        env={**environment, "DJANGO_SETTINGS_MODULE": f"{module.rpartition('.')[0]}.settings"},
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        timeout=RUN_SECONDS,
        preexec_fn=die_with_parent,
        text=True,
    )
    if run.returncode:
        sys.exit(f"{module} failed:\n{run.stdout}")
    return [Measure(*values) for values in json.loads(run.stdout)]


def _machine() -> str:
    """What else the numbers depend on."""
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} a minute ago to now"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    main(sys.argv[1:])
