"""A thousand that wait at the same time."""

from bench.measures import Measure
from bench.systems.system import System
from bench.workloads import sleep


def measure(system: System) -> list[Measure]:
    return sleep.measure(system, jobs=1000, slots=1000)
