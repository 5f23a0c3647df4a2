"""The benchmark: its arithmetic, what it says of its aims, and that it still fits what it measures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from bench import cpu, submitting
from bench.aims import AHEAD, AIMS, OURS, Aim, verdicts
from bench.bed import Bed, Kind
from bench.measures import Measure, Row, latencies, percentile, row
from bench.memory import peak, session
from bench.ours import chat, crowd, lanes, limits, operations, stack, submit, watch
from bench.run import Run
from bench.systems import bodies, catalog, installed, ours, processes, servers
from bench.systems.catalog import SYSTEMS
from bench.systems.ours import Ours
from bench.systems.system import Command
from bench.table import lines
from bench.workloads import backlog, drain, flood, sleep, start
from bench.workloads.catalog import QUEUES
from queueproject.stack.commands import PROJECT
from queueproject.testing.nursery import Child, Nursery
from tests.processes import Stack, database_url
from tests.waiting import wait_until


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_a_percentile_is_the_value_of_its_rank(share: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value


def test_latencies_are_told_in_milliseconds() -> None:
    assert latencies("x", [0.001, 0.002, 0.003]) == [Measure("x, p50", 2.0, "ms"), Measure("x, p99", 3.0, "ms")]


def test_an_aim_in_another_unit_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="is in ms, its aim in s"):
        Aim(2.6, "s").met(row(OURS, Measure("x", 1.0, "ms")))


@pytest.mark.parametrize(
    ("aim", "value", "met"),
    [
        (Aim(3, "ms"), 3, True),
        (Aim(3, "ms"), 3.01, False),
        (Aim(9, "/s", "higher"), 9, True),
        (Aim(9, "/s", "higher"), 8, False),
    ],
)
def test_an_aim_is_a_bound_from_one_side(aim: Aim, value: float, met: bool) -> None:
    assert aim.met(row(OURS, Measure("x", value, aim.unit))) is met


def verdict(rows: Sequence[Row], workload: str) -> str:
    (line,) = (line for line in verdicts(rows) if line.startswith(f"aim: {workload}, "))
    return line.rpartition(": ")[2]


def test_an_aim_is_judged_by_our_numbers_alone() -> None:
    workload = "submit to start, p50"
    aim = AIMS[workload]
    theirs = row("another", Measure(workload, aim.bound, aim.unit))
    assert verdict([theirs], workload) == "not measured"
    assert verdict([theirs, row(OURS, Measure(workload, aim.bound, aim.unit))], workload) == "met"
    assert verdict([theirs, row(OURS, Measure(workload, aim.bound * 2, aim.unit))], workload) == "MISSED"


def test_being_ahead_is_judged_by_the_best_of_the_others() -> None:
    def ahead(*values: float) -> str:
        rows = [row(f"system {n}" if n else OURS, Measure(AHEAD, value, "/s")) for n, value in enumerate(values)]
        return list(verdicts(rows))[-1].rpartition(": ")[2]

    assert ahead(10) == "not measured"
    assert ahead(10, 9, 1) == "met"
    assert ahead(10, 9, 11) == "MISSED"


def test_the_best_comes_first_and_everybody_is_put_beside_ours() -> None:
    rows = [row(name, Measure("x", value, "/s", "higher")) for name, value in [(OURS, 10), ("slow", 5), ("quick", 20)]]
    block = list(lines(rows))[1:4]
    assert [line.split()[0] for line in block] == ["quick", OURS, "slow"]
    assert ["2.00 x ours" in block[0], "ours" in block[1], "0.50 x ours" in block[2]] == [True, False, True]


def test_every_workload_and_system_is_where_the_catalog_says() -> None:
    assert all(callable(import_module(workload.module).measure) for workload in QUEUES.values())
    assert {name for workload in QUEUES.values() for name in workload.systems} <= SYSTEMS.keys()
    pinned = [installed.REQUIREMENTS / f"{entry.peer}.txt" for entry in SYSTEMS.values() if entry.peer]
    pinned += [installed.REQUIREMENTS / entry.node / "package-lock.json" for entry in SYSTEMS.values() if entry.node]
    assert all(file.exists() for file in pinned)


def test_a_peer_that_cannot_be_installed_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(installed, "HOME", tmp_path)
    monkeypatch.setattr(sys, "executable", "/no/python")
    with pytest.raises(installed.Missing, match="could not be installed"):
        installed.python_of("nobody")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(installed.Missing, match="no node"):
        installed.node_modules_of("nobody")


class NoBed(Bed):
    """Without servers, for runs that don't get that far."""

    def __init__(self) -> None: ...

    def fresh(self, name: str, kind: Kind, *, logged: bool = False) -> dict[str, str]:
        return {"PATH": "/nowhere"}


def test_one_that_fails_ends_nothing_and_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(peer: str) -> str:
        raise installed.Missing("no network")

    monkeypatch.setattr(catalog, "python_of", missing)
    run = Run(NoBed())
    run.measure("sleep", ["huey", "rq"])
    assert run.missing[("sleep", "Huey")] == "no network"
    assert "Redis URL" in run.missing[("sleep", "rq (SimpleWorker)")]
    assert run.rows == []


def test_memory_is_that_of_a_process_and_its_children() -> None:
    hungry = "import subprocess, sys; block = bytearray(40 << 20); "
    parent = f"{hungry}subprocess.run([sys.executable, '-c', {hungry + 'sys.stdin.read()'!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, start_new_session=True)
    try:
        with peak(process.pid) as found:
            wait_until(lambda: found.megabytes > 80)
            assert len(session(process.pid)) == 2
    finally:
        process.communicate()


def test_cpu_is_that_of_a_process_and_its_children_also_of_those_that_have_ended() -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass\n"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}]); print(); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        # 0.3 s, in up to four counters of whole ticks (10 ms), each rounded down; starting two Pythons takes far less.
        assert 0.25 <= cpu.cpu_seconds(process.pid) < 2
        process.communicate()


class Small(Ours):
    """The project with hardly any load, and no other processes than the workers."""

    drain_jobs = 20

    def beside(self) -> list[Command]:
        return []


@pytest.fixture
def _brief(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: Callable[..., None], nursery: Nursery) -> None:
    """The same workloads with hardly any load, in processes that know the benchmark's job types."""

    def spawn(self: processes.Processes, command: Command) -> Child:
        return nursery.start(command, environment=os.environ, directory=PROJECT, log=tmp_path / "workers.log")

    monkeypatch.setattr(processes.Processes, "_spawn", spawn)
    monkeypatch.setattr(stack, "Stack", partial(Stack, nursery=nursery))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "bench.ours.settings")
    monkeypatch.setenv("DATABASE_URL", database_url())
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv(bodies.STAMP_FILE, str(tmp_path / "stamp"))
    bodies.stamp_file.cache_clear()
    monkeypatch.setenv("QUEUE_SETTINGS_SECONDS", "0.1")
    config(queue_settings_seconds=0.1)
    monkeypatch.setattr(servers, "postgres_pid", os.getpid)
    monkeypatch.setattr(servers, "redis_pid", os.getpid)
    for module, name, value in [
        (processes, "AT_LEAST_SECONDS", 0.2),
        (processes, "LOOK_SECONDS", 0.2),
        (ours, "PROCESSES", 1),
        (start, "COUNT", 3),
        (drain, "SINGLY", 5),
        (flood, "JOBS", 20),
        (lanes, "LANES", 5),
        (lanes, "EACH", 4),
        (limits, "JOBS", 300),
        (limits, "ROUNDS", 1),
        (limits, "SEEN_SECONDS", 0.1),
        (backlog, "WAITING", 20),
        (backlog, "SINGLY", 3),
        (operations, "ROWS", 40),
        (operations, "TIMES", 2),
        (watch, "COUNT", 3),
        (crowd, "SOCKETS", 5),
        (crowd, "STREAMS", 5),
        (crowd, "EVENTS", 3),
        (sleep, "SECONDS", 0.05),
        (submitting, "ALONE_SECONDS", 0.3),
        (submitting, "PACED_SECONDS", 0.5),
        (submitting, "UNPACED_SECONDS", 0.3),
    ]:
        monkeypatch.setattr(module, name, value)


def aims_about(measures: Sequence[Measure]) -> int:
    """How many aims are about these numbers, whatever the sizes in their names."""
    names = {re.sub(r"[\d.,]+", "#", measure.workload) for measure in measures}
    return sum(re.sub(r"[\d.,]+", "#", aim) in names for aim in AIMS)


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_brief")
@pytest.mark.parametrize(
    ("workload", "aims"),
    [(start, 2), (drain, 2), (flood, 0), (lanes, 1), (limits, 1), (sleep, 3), (backlog, 3), (operations, 5)],
)
def test_each_workload_of_queues_runs_and_the_aims_are_about_its_numbers(workload: ModuleType, aims: int) -> None:
    measures = workload.measure(Small())
    assert all(measure.value >= 0 for measure in measures)
    assert aims_about(measures) == aims


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_brief")
@pytest.mark.parametrize(("workload", "aims"), [(watch, 0), (crowd, 1), (submit, 1), (chat, 1)])
def test_each_workload_over_http_runs_and_the_aims_are_about_its_numbers(workload: ModuleType, aims: int) -> None:
    measures = workload.measure()
    assert all(measure.value > 0 for measure in measures)
    assert aims_about(measures) == aims
