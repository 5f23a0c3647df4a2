"""For tests of handlers: run jobs here and now, without processes, with a clock of their own, and kill them anywhere.

``Play`` runs one handler, whose waits the test answers. ``run_until_idle`` does what workers and the scheduler would
do, when the test says so; ``Embedded`` is a real worker and scheduler on threads. ``replay_check`` compares a run that
is killed everywhere with one that nobody disturbed. docs/durable-functions.md and docs/testing.md show them at work.
"""

from jobs.embedded import Embedded
from jobs.testing.clock import pass_time, pass_to_next
from jobs.testing.killing import Killer
from jobs.testing.play import Play
from jobs.testing.replay import replay_check
from jobs.testing.running import run_next, run_next_killed, run_until_idle, steps_of
from jobs.testing.watch import Nondeterministic, watched

__all__ = [
    "Embedded",
    "Killer",
    "Nondeterministic",
    "Play",
    "pass_time",
    "pass_to_next",
    "replay_check",
    "run_next",
    "run_next_killed",
    "run_until_idle",
    "steps_of",
    "watched",
]
