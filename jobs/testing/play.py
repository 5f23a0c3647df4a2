"""One handler, run step by step by a test that answers what it waits for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Self

from jobs.events.ledger import ledger
from jobs.models import Job
from jobs.operations import answers, waits
from jobs.operations.outcomes import Ended, How, settle
from jobs.operations.transitions import lock
from jobs.results import Ruling
from jobs.states import Status
from jobs.testing import clock
from jobs.testing.killing import Killer
from jobs.testing.people import Drafts
from jobs.testing.running import MOST_TURNS, claim, end_delays, run_one, steps_of
from jobs.testing.watch import watched


class Play:
    """A job whose handler runs when the test says so. The jobs that it calls don't run and nobody else is asked to
    decide: the test answers for all of them.

    >>> play = Play(enqueue(REMIND, text="drink water"))
    >>> play.run().waiting_for
    'nap'
    >>> play.pass_time(timedelta(days=1)).run().result
    """

    def __init__(self, job: Job) -> None:
        self._id = job.pk
        self._drafts = Drafts()

    @property
    def job(self) -> Job:
        """Its row as it stands."""
        return Job.objects.get(pk=self._id)

    @property
    def result(self) -> Any:
        """What the handler returned, as JSON. ``AssertionError`` with the error if it has not come that far."""
        job = self.job
        assert job.status == Status.COMPLETED, f"{job} is {job.status}: {job.error or self.waiting_for}"
        return job.result

    @property
    def steps(self) -> list[str]:
        """The steps that are done."""
        return steps_of(self.job)

    @property
    def waiting_for(self) -> str:
        """The step it waits for; empty if it does not wait."""
        if self.job.status != Status.WAITING:
            return ""
        told = self.job.events.filter(event="job.waiting").order_by("-id").values_list("data", flat=True).first()
        return str((told or {}).get("step", ""))

    @property
    def draft(self) -> dict[str, Any] | None:
        """What the handler last wanted decided."""
        return self._drafts.last

    def run(self, *, kill_at: str = "") -> Self:
        """Run the handler until it waits or has ended; backoffs pass at once.

        ``kill_at``: the process is killed at this failpoint (``"after_step:charge"``), and the job goes on elsewhere.
        ``AssertionError`` if it never comes there, or if the handler reads a clock or chance outside a step.
        """
        killer = Killer(only=kill_at or "nowhere")
        with self._drafts.asked(), watched():
            for _ in range(MOST_TURNS):
                end_delays()
                if not killer.turn(lambda context: run_one(self.job, context)):
                    break
        assert not kill_at or killer.at, f"the job never came to {kill_at!r}"
        return self

    def finish(self) -> Self:
        """``run``, and let time pass, until it has ended or waits for somebody who has all the time in the world."""
        self.run()
        while self.waiting_for and clock.pass_to_next():
            self.run()
        return self

    def pass_time(self, time: timedelta) -> Self:
        """Let so much time pass: who slept so long may run, what nobody answered so long has timed out."""
        clock.pass_time(time)
        return self

    def answer(self, name: str, value: Any) -> Self:
        """Give ``value`` as what the job waits for, or will, under this name.

        That is a call's result, a ``Ruling``, or what ``ctx.receive`` or (``"<name>.answer"``) ``ctx.wait_for`` gives.
        """
        if child := self._child(name):
            return self._end(child, how=How.DONE, result=_as_json(child, value))
        with ledger() as book:
            job = lock([self._id])[self._id]
            if isinstance(value, Ruling):
                waits.resume(book, job, name=name, ruling=value.model_dump(mode="json"), settled=True)
            else:
                assert answers.give(book, job, name=name, answer=value), f"{name!r} was answered before"
        return self

    def fail(self, name: str, code: str, detail: str = "") -> Self:
        """The call of this name ends without a result: the handler gets ``ChildFailed``."""
        child = self._child(name)
        assert child is not None, f"the job does not wait for a call {name!r} but for {self.waiting_for!r}"
        return self._end(child, how=How.HOPELESS, error={"code": code, "detail": detail or code})

    def _child(self, name: str) -> Job | None:
        return self.job.children.open().filter(step=name).first()

    def _end(self, child: Job, **how: Any) -> Self:
        (claimed,) = claim(child)
        ended = Ended(job_id=child.pk, token=claimed.token, lane_id=None, parent_id=self._id, **how)
        assert settle([ended]), f"{child} could not be answered"
        return self


def _as_json(child: Job, value: Any) -> Any:
    """A result as the child's handler would have it stored, held to its job type."""
    adapter = child.declared().adapter
    return adapter.dump_python(adapter.validate_python(value), mode="json")
