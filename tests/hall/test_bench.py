"""The benchmark: its arithmetic, what it says of its aims, and that it still fits what it measures."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from bench import sleeping, starting, submitting
from bench.measures import AIMS, Aim, Measure, Row, latencies, percentile, row
from bench.memory import peak, session
from bench.ours import chat, crowd, sleep, start, submit, watch
from bench.table import OURS, THEIRS, lines
from tests.waiting import wait_until


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_a_percentile_is_the_value_of_its_rank(share: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value


def test_latencies_are_told_in_milliseconds() -> None:
    assert latencies("x", [0.001, 0.002, 0.003]) == [Measure("x, p50", 2.0, "ms"), Measure("x, p99", 3.0, "ms")]


def test_an_aim_in_another_unit_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="is in ms, its aim in s"):
        Aim(2.6, "s").met(row(OURS, Measure("x", 1.0, "ms")))


def aims_told(rows: list[Row]) -> list[str]:
    return [line.rpartition(": ")[2] for line in lines(rows) if line.startswith("aim")]


def test_an_aim_is_judged_by_our_numbers_alone() -> None:
    workload, aim = next(iter(AIMS.items()))
    theirs = row(THEIRS, Measure(workload, aim.below / 2, aim.unit))
    ours = {value: row(OURS, Measure(workload, value, aim.unit)) for value in (aim.below - 1, aim.below)}
    assert aims_told([theirs])[0] == "not measured"
    assert aims_told([theirs, ours[aim.below - 1]])[0] == "met"
    assert aims_told([theirs, ours[aim.below]])[0] == "MISSED"


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


@pytest.fixture
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same workloads with hardly any load, in processes that know the benchmark's job types."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "bench.ours.settings")
    for module, name, value in [
        (starting, "COUNT", 3),
        (watch, "COUNT", 3),
        (crowd, "SOCKETS", 5),
        (crowd, "STREAMS", 5),
        (crowd, "EVENTS", 3),
        (sleeping, "JOBS", 3),
        (sleeping, "SECONDS", 0.05),
        (submitting, "ALONE_SECONDS", 0.3),
        (submitting, "PACED_SECONDS", 0.5),
        (submitting, "UNPACED_SECONDS", 0.3),
    ]:
        monkeypatch.setattr(module, name, value)


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_brief")
@pytest.mark.parametrize(("workload", "aims"), [(start, 1), (watch, 0), (crowd, 0), (sleep, 2), (submit, 1), (chat, 1)])
def test_each_workload_runs_and_the_aims_are_about_its_numbers(workload: ModuleType, aims: int) -> None:
    measures = workload.measure()
    assert all(measure.value > 0 for measure in measures)
    assert len(AIMS.keys() & {measure.workload for measure in measures}) == aims
