"""What a run of a job has already done, and whether its handler still does the same."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.errors import HandlerMisuse, StepMismatch
from jobs.models import Job
from jobs.models_steps import JobStep, StepKind

NAME_CHARACTERS = 100


class Memory:
    """The finished steps of a run, and which of them the handler has asked for on this claim.

    A failed call is forgotten by the next attempt, which makes it again; everything else is kept as it was.
    """

    def __init__(self, job: Job) -> None:
        self._attempt = job.attempt
        steps = JobStep.objects.filter(job=job, run=job.run).order_by("id") if job.token > 1 else ()
        self._done = {step.name: step for step in steps}
        self._to_replay = set(self._done)
        self._used: set[str] = set()

    @property
    def replaying(self) -> bool:
        """Whether there are steps of earlier claims that have not been read back yet."""
        return bool(self._to_replay)

    def recall(self, names: Sequence[str], kind: StepKind) -> list[JobStep | None]:
        """What these steps gave, ``None`` for those that have to be done now.

        ``HandlerMisuse`` for a name that can't be used, ``StepMismatch`` if a step was of another kind.
        """
        for name in names:
            self._use(name)
        self._to_replay.difference_update(names)
        return [self._found(name, kind) for name in names]

    def go_live(self, name: str, kind: StepKind) -> None:
        """Something new is done. ``StepMismatch`` if not all that this attempt has done was asked for before: the
        handler took another way."""
        if left := self._left_out():
            asked = f"{name!r} ({kind.value})"
            raise StepMismatch(f"the handler asks for {asked} where this job went on with {_list(left)}")
        self._to_replay.clear()

    def pass_over(self, *names: str) -> None:
        """These steps led to one that is done, and need not be asked for again."""
        self._used.update(names)
        self._to_replay.difference_update(names)

    def has(self, name: str) -> bool:
        """Whether a step of this name was stored, by any attempt."""
        return name in self._done

    def finish(self) -> None:
        """The handler has come to its end: ``StepMismatch`` if it left out what this attempt had done before."""
        if left := self._left_out():
            raise StepMismatch(f"the handler ended without asking for {_list(left)}, which this job has done")

    def _use(self, name: str) -> None:
        if not name or len(name) > NAME_CHARACTERS:
            raise HandlerMisuse(f"step name {name!r}: use 1 to {NAME_CHARACTERS} characters")
        if name in self._used:
            raise HandlerMisuse(f"step name {name!r} is used twice: put the round into the name")
        self._used.add(name)

    def _found(self, name: str, kind: StepKind) -> JobStep | None:
        done = self._done.get(name)
        if done is None:
            return None
        if done.kind != kind:
            raise StepMismatch(f"step {name!r} was recorded as {done.kind} and is now {kind.value}")
        failed_before = done.error is not None and done.kind == StepKind.CALL and done.attempt != self._attempt
        return None if failed_before else done

    def _left_out(self) -> list[JobStep]:
        """Steps of this attempt only: after a failure the handler may well take another way."""
        mine = (step for step in self._done.values() if step.attempt == self._attempt)
        return [step for step in mine if step.name not in self._used]


def _list(steps: Sequence[JobStep]) -> str:
    return ", ".join(f"{step.name!r} ({step.kind})" for step in steps)
