"""Players' actions over HTTP, while worker and scheduler work on them: ten games, five players in each."""

from bench.measures import Measure
from bench.ours.people import games, member
from bench.ours.stack import running
from bench.submitting import measure_submit

GAMES = 10
PLAYERS = 50


def measure() -> list[Measure]:
    played = games(GAMES)
    alone = member("alone", played)
    players = [member(f"player {number}", [played[number % GAMES]]) for number in range(PLAYERS)]
    with running("web", "worker", "scheduler") as stack:
        return measure_submit(stack.base_url, alone, players)
