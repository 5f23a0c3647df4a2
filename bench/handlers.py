"""What the measured jobs do: the bodies that every system's do."""

from bench.jobtypes import Nap, Nothing
from bench.systems import bodies
from jobs.context import JobContext


def nothing(ctx: JobContext, asked: Nothing) -> None:
    bodies.nothing()


def stamp(ctx: JobContext, asked: Nothing) -> None:
    bodies.stamp()


def sleep(ctx: JobContext, nap: Nap) -> None:
    bodies.sleep(nap.seconds)
