"""Whether a handler does the same however often it is killed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jobs.models import Job
from jobs.testing.clock import pass_to_next
from jobs.testing.killing import Killer
from jobs.testing.running import MOST_TURNS, end_delays, run_next
from jobs.testing.watch import watched


def replay_check(
    ask: Callable[[], Job],
    answer: Callable[[], object] = lambda: None,
    describe: Callable[[Job], Any] = lambda job: (job.status, job.result, job.error),
) -> list[str]:
    """Compare a run that is killed at every place it passes with one that is not; the places it was killed at.

    ``ask`` enqueues the request; ``answer`` settles whatever it waits for (decisions, callbacks), and is false when
    there is nothing; ``describe`` gives what must be equal (its trace, result, effects). Children run too, and who
    sleeps or waits in vain is woken. ``AssertionError`` says what differs, or which clock the handler reads.
    """
    killer = Killer()
    with watched():
        undisturbed = _play(ask, lambda: run_next() is not None, answer, describe)
    killed = _play(ask, lambda: killer.turn(run_next), answer, describe)
    assert killed == undisturbed, f"killed at {killer.at}: {killed!r}\nundisturbed: {undisturbed!r}"
    return killer.at


def _play(
    ask: Callable[[], Job], turn: Callable[[], bool], answer: Callable[[], object], describe: Callable[[Job], Any]
) -> Any:
    job = ask()
    for _ in range(MOST_TURNS):
        end_delays()
        if not turn() and not answer() and not pass_to_next():
            break
    job.refresh_from_db()
    return describe(job)
