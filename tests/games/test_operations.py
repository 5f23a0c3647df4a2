"""Acting: what is taken, in which line it waits, and what is refused, with the path of every mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from games.operations import act
from jobs.errors import Conflict, Forbidden, Invalid, NotFound
from jobs.models import Job
from jobs.queries import position
from tests.cast import Cast

pytestmark = pytest.mark.django_db(transaction=True)

GOLD = {"path": "party.gold", "op": "add", "value": 1}


def test_a_players_action_waits_in_the_games_line_and_a_dms_in_their_own(cast: Cast) -> None:
    jobs = [act(user=user, game=cast.game, text="Hello") for user in (cast.player1, cast.player2, cast.dm, cast.dm2)]
    assert [job.type for job in jobs] == ["player_action", "player_action", "dm_action", "dm_action"]
    assert [job.queue for job in jobs] == ["player_actions", "player_actions", "dm_actions", "dm_actions"]
    assert [position(job) for job in jobs] == [0, 1, 0, 1]
    key = cast.game.scope_key
    assert [job.lane and job.lane.key for job in jobs] == [key, key, f"{key}:dm", f"{key}:dm"]
    assert {job.scope and job.scope.key for job in jobs} == {key}


def test_the_same_key_is_one_action(cast: Cast) -> None:
    first, again = [act(user=cast.player1, game=cast.game, text="Hello", idempotency_key="k") for _ in range(2)]
    assert first.pk == again.pk
    assert act(user=cast.player2, game=cast.game, text="Hello", idempotency_key="k").pk != first.pk
    assert act(user=cast.player1, game=cast.other, text="Hello", idempotency_key="k").pk != first.pk
    with pytest.raises(Conflict) as refused:
        act(user=cast.player1, game=cast.game, text="Goodbye", idempotency_key="k")
    assert refused.value.code == "idempotency_mismatch"


def test_line_ends_are_alike_and_the_space_around_is_cut_off(cast: Cast) -> None:
    job = act(user=cast.player1, game=cast.game, text="  I wait.\r\nI listen.\rI go.\t \n")
    assert job.payload["text"] == "I wait.\nI listen.\nI go."


@pytest.mark.parametrize("text", ["💥" * 10, "<script>alert(1)</script>", "tab\tand\nline", "‮right to left"])
def test_anything_that_can_be_read_is_taken_as_it_is(cast: Cast, text: str) -> None:
    assert act(user=cast.player1, game=cast.game, text=text).payload["text"] == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (" \n\t ", "is empty"),
        ("\u200b\u2060", "is empty"),
        ("x" * 21, "is longer than 20 characters"),
        ("a\0b", "has control characters"),
        ("a\x1b[31mb", "has control characters"),
        ("a\x1c", "has control characters"),
        ("a\x85b", "has control characters"),
        ("a\ud800b", "has control characters"),
    ],
)
def test_a_text_that_cannot_be_told_is_refused(cast: Cast, config: Callable[..., None], text: str, reason: str) -> None:
    config(action_characters=20)
    for user in (cast.player1, cast.dm):
        with pytest.raises(Invalid) as refused:
            act(user=user, game=cast.game, text=text)
        assert refused.value.extra["fields"] == {"text": reason}
    assert not Job.objects.exists()


def test_the_longest_text_is_taken(cast: Cast, config: Callable[..., None]) -> None:
    config(action_characters=20)
    assert act(user=cast.player1, game=cast.game, text=f" {'x' * 20} ")


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ([GOLD, {"path": "a..b", "op": "set", "value": 1}], "changes.1.path"),
        ([{"path": "a", "op": "explode", "value": 1}], "changes.0.op"),
        ([{"path": "a", "op": "set"}], "changes.0"),
        ([{"path": "a", "op": "set", "value": "\0"}], "changes.0.value"),
        ([{"path": "a", "op": "set", "value": float("nan")}], "changes.0.value"),
        ([{"path": "a", "op": "set", "value": 1, "because": "x"}], "changes.0.because"),
        (["gold"], "changes.0"),
        ([None], "changes.0"),
        ([GOLD] * 51, "changes"),
    ],
)
def test_a_malformed_change_is_refused_with_its_path(cast: Cast, changes: list[Any], path: str) -> None:
    with pytest.raises(Invalid) as refused:
        act(user=cast.dm, game=cast.game, text="So be it.", changes=changes)
    assert list(refused.value.extra["fields"]) == [path]
    assert not Job.objects.exists()


def test_every_mistake_is_named_at_once(cast: Cast) -> None:
    with pytest.raises(Invalid) as refused:
        act(user=cast.dm, game=cast.game, text="\0", changes=[{"path": "", "op": "remove"}], idempotency_key="x" * 201)
    assert refused.value.extra["fields"].keys() == {"text", "changes.0.path", "idempotency_key"}


def test_a_dm_may_change_the_state_without_a_word(cast: Cast) -> None:
    assert act(user=cast.dm, game=cast.game, text="", changes=[GOLD]).payload["changes"] == [GOLD]


def test_a_player_may_not_change_the_state(cast: Cast) -> None:
    assert act(user=cast.player1, game=cast.game, text="I wait", changes=[])
    with pytest.raises(Forbidden, match="players can't change the state"):
        act(user=cast.player1, game=cast.game, text="I am rich", changes=[GOLD])
    assert Job.objects.count() == 1


@pytest.mark.parametrize("name", ["stranger", "admin"])
def test_for_a_stranger_there_is_no_game(cast: Cast, name: str) -> None:
    with pytest.raises(NotFound):
        act(user=getattr(cast, name), game=cast.game, text="Hello", changes=[GOLD])
    assert not Job.objects.exists()
