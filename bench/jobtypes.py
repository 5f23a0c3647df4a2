"""The jobs that are measured beside those of games."""

from pydantic import BaseModel

from jobs.registry import JobType


class Nothing(BaseModel):
    """Nothing to be said."""


class Nap(BaseModel):
    """A wait for something outside, such as a model's answer."""

    seconds: float


NOTHING = JobType(name="bench_nothing", queue="system", payload=Nothing, result=None, handler="bench.handlers:nothing")
STAMP = JobType(name="bench_stamp", queue="system", payload=Nothing, result=None, handler="bench.handlers:stamp")
SLEEP = JobType(name="bench_sleep", queue="system", payload=Nap, result=None, handler="bench.handlers:sleep")
BODIES = {"nothing": NOTHING, "stamp": STAMP, "sleep": SLEEP}
