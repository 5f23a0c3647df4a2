"""Chat over HTTP, while worker and scheduler work on it: ten games, five players in each."""

from bench.measures import Measure
from bench.ours.people import games, member
from bench.ours.stack import running
from bench.submitting import TEXT, Client, measure_paced
from games.models import Game

GAMES = 10
PLAYERS = 50


def measure() -> list[Measure]:
    played = games(GAMES)
    chatting = [_chatter(f"player {number}", played[number % GAMES]) for number in range(PLAYERS)]
    with running("web", "worker", "scheduler") as stack:
        return measure_paced(stack.base_url, chatting, "chat")


def _chatter(name: str, game: Game) -> Client:
    return Client(member(name, [game]).token, ["/v1/chat"], {"message": TEXT, "game_state_id": str(game.pk)})
