"""The jobs that are measured beside those of games."""

from pydantic import BaseModel

from jobs.registry import JobType


class Sent(BaseModel):
    """When the caller began to enqueue, on the machine's monotonic clock."""

    at_ns: int


class Nap(BaseModel):
    """A wait for something outside, such as a model's answer."""

    seconds: float


class Nothing(BaseModel):
    """Nothing to be done."""


STAMP = JobType(name="bench_stamp", queue="system", payload=Sent, result=int, handler="bench.handlers:stamp")
SLEEP = JobType(name="bench_sleep", queue="system", payload=Nap, result=None, handler="bench.handlers:sleep")
NOTHING = JobType(name="bench_nothing", queue="system", payload=Nothing, result=None, handler="bench.handlers:nothing")
