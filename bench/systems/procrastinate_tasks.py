"""The measured jobs as procrastinate's worker finds them."""

from procrastinate.contrib.django import app

from bench.systems import bodies
from bench.systems.system import QUEUE


async def nothing() -> None:
    bodies.nothing()


async def stamp() -> None:
    bodies.stamp()


async def sleep(seconds: float) -> None:
    await bodies.sleep_async(seconds)


TASKS = {body.__name__: app.task(body, name=f"bench.{body.__name__}", queue=QUEUE) for body in (nothing, stamp, sleep)}
