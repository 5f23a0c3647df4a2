"""Event streams: what they replay and follow, and how they end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import OperationalError

from accounts.threads import in_thread
from games.models import Game
from jobs.ephemeral import Ephemeral
from jobs.models import Scope
from jobs.models_events import JobEvent
from jobs.operations import controls
from jobs.streams import Row, Stream
from jobs.streams.rows import read_rows
from jobs.transport import transport
from tests.games.streams import START, begun, of_game, of_request
from tests.games.watching import act, bearer, tell
from tests.sse import streaming
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)

NEVER_SECONDS = 3600.0


async def test_a_stream_replays_what_follows_the_cursor_and_goes_on(game: Game) -> None:
    job = await in_thread(act, game)
    await in_thread(tell, job, "a", "b")
    async with streaming(of_game(game), await in_thread(bearer, "player2"), query="last_event_id=1") as stream:
        await begun(stream)
        first, second = await stream.events(2)
        assert (first.id, first.event, first.data["data"]) == (2, "game.state_updated", {"text": "a"})
        assert second.id == 3
        assert first.data.keys() == {"request_id", "kind", "status", "at", "data"}
        assert first.data["request_id"] == str(job.public_id)
        await in_thread(tell, job, "c")
        assert (await stream.event()).data["data"] == {"text": "c"}
    assert stream.headers["cache-control"] == "no-store"
    assert stream.headers["x-accel-buffering"] == "no"


async def test_without_a_cursor_it_begins_now_and_says_where_that_is(game: Game) -> None:
    job = await in_thread(act, game)
    async with streaming(of_game(game), await in_thread(bearer, "player2")) as stream:
        await begun(stream)
        assert (await stream.block()).id == 1
        await in_thread(tell, job, "later")
        assert (await stream.event()).id == 2


async def test_the_header_of_a_browser_that_reconnects_wins_over_the_address(game: Game) -> None:
    job = await in_thread(act, game)
    await in_thread(tell, job, "a", "b", "c")
    headers = {**await in_thread(bearer, "player2"), "Last-Event-ID": "3"}
    async with streaming(of_game(game), headers, query="last_event_id=0") as stream:
        assert (await stream.event()).id == 4


async def test_passing_events_have_no_id_and_drafts_are_for_those_who_decide(game: Game) -> None:
    job = await in_thread(act, game)
    assert job.scope_id is not None

    def chunk(content: str, *, deciders_only: bool) -> None:
        assert job.scope_id is not None
        data = {"attempt": 1, "index": 0, "content": content, "done": False}
        told = Ephemeral(
            event="chat.chunk",
            request_id=str(job.public_id),
            kind="chat",
            data=data,
            deciders_only=deciders_only,
        )
        transport().say([(job.scope_id, told)])

    player, dm = await in_thread(bearer, "player2"), await in_thread(bearer, "dm")
    async with streaming(of_game(game), player) as players, streaming(of_request(job), dm) as dms:
        for stream in (players, dms):
            await begun(stream)

        async def heard() -> bool:
            await in_thread(lambda: chunk("draft", deciders_only=True))
            await in_thread(lambda: chunk("told", deciders_only=False))
            try:
                return bool((await players.block(0.2)).event)
            except TimeoutError:
                return False

        await await_until(heard)
        event = await dms.event("chat.chunk")
        assert (event.id, event.data["request_id"], event.data["data"]["content"]) == (
            None,
            str(job.public_id),
            "draft",
        )
        await in_thread(tell, job, "end")
        while (event := await players.event()).event == "chat.chunk":
            assert event.data["data"]["content"] == "told"


async def test_a_request_has_a_stream_of_its_own_that_ends_with_it(game: Game) -> None:
    other = await in_thread(act, game)
    job = await in_thread(act, game)
    async with streaming(of_request(job), await in_thread(bearer, "player2")) as stream:
        await begun(stream)
        assert (await stream.event()).event == "request.queued"
        await in_thread(tell, other, "of another")
        await in_thread(tell, job, "of this")
        await in_thread(lambda: controls.cancel(job_id=job.pk))
        rest = [(event.event, event.data["request_id"]) for event in await stream.rest()]
        assert rest == [("game.state_updated", str(job.public_id)), ("request.cancelled", str(job.public_id))]
    async with streaming(of_request(job), await in_thread(bearer, "player2")) as again:
        events = [event for event in await again.rest() if event.event]
        assert [event.event for event in events] == ["request.queued", "game.state_updated", "request.cancelled"]
        last = events[-1].id
    headers = {**await in_thread(bearer, "player2"), "Last-Event-ID": str(last)}
    async with streaming(of_request(job), headers) as nothing:
        assert nothing.status == 204


async def test_a_request_that_runs_again_is_told_from_its_current_run_to_the_end_of_that(game: Game) -> None:
    job = await in_thread(act, game)
    await in_thread(lambda: controls.cancel(job_id=job.pk))
    await in_thread(lambda: controls.revive(job.pk))
    headers = await in_thread(bearer, "player2")
    async with streaming(of_request(job), headers) as stream, streaming(of_request(job), headers, query=START) as all_:
        await begun(stream)
        assert (await stream.event()).event == "request.queued"
        former = [(await all_.event()).event for _ in range(3)]
        assert former == ["request.queued", "request.cancelled", "request.queued"]
        await in_thread(lambda: controls.cancel(job_id=job.pk))
        for each in (stream, all_):
            assert [event.event for event in await each.rest()] == ["request.cancelled"]


async def test_a_cursor_that_is_too_old_or_too_new_is_reset_to_the_head(game: Game) -> None:
    job = await in_thread(act, game)
    await in_thread(tell, job, "a", "b", "c")
    await in_thread(lambda: JobEvent.objects.filter(seq__lte=2).delete())
    for cursor in ("0", "1", "77"):
        headers = {**await in_thread(bearer, "player2"), "Last-Event-ID": cursor}
        async with streaming(of_game(game), headers) as stream:
            reset = await stream.event()
            assert (reset.event, reset.id, reset.data) == ("reset", 4, {"head": 4})
            await in_thread(tell, job, "after")
            assert (await stream.event()).data["data"] == {"text": "after"}
            await in_thread(lambda: JobEvent.objects.filter(seq__gt=4).delete())
            await in_thread(lambda: game_head(game, 4))
    async with streaming(of_game(game), await in_thread(bearer, "player2"), query="last_event_id=2") as stream:
        assert (await stream.event()).id == 3


def game_head(game: Game, head: int) -> None:
    Scope.objects.filter(key=game.scope_key).update(head=head)


@pytest.mark.parametrize("cursor", ["0", "1"])
async def test_where_nothing_is_left_after_the_cursor_it_is_reset_and_not_asked_for_again(
    game: Game, cursor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counted(scope: int, after: int, limit: int) -> list[Row]:
        asked.append(after)
        return read_rows(scope, after, limit)

    job = await in_thread(act, game)
    await in_thread(tell, job, "a", "b")
    await in_thread(JobEvent.objects.all().delete)
    monkeypatch.setattr("jobs.streams.stream.read_rows", counted)
    async with streaming(of_game(game), await in_thread(bearer, "player2"), query=f"last_event_id={cursor}") as stream:
        reset = await stream.event()
        assert (reset.event, reset.id, reset.data) == ("reset", 3, {"head": 3})
        assert asked == [int(cursor)]
        await in_thread(tell, job, "after")
        assert (await stream.event()).data["data"] == {"text": "after"}


async def test_a_database_lost_while_a_cursor_is_looked_for_is_told_in_one_answer(
    game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(stream: Stream) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(Stream, "refresh", away)
    async with streaming(of_game(game), await in_thread(bearer, "player2"), query="last_event_id=77") as stream:
        await begun(stream)
        assert (await stream.event()).event == "unavailable"
        assert await stream.rest() == []


async def test_a_database_that_is_away_is_told_as_an_event_since_browsers_never_return_from_an_error(
    game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(headers: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr("jobs.streams.answering.identify", away)
    async with streaming(of_game(game), {}) as stream:
        await begun(stream)
        assert (await stream.event()).event == "unavailable"
        assert await stream.rest() == []


async def test_silence_is_broken_by_comments(game: Game, config: Callable[..., None]) -> None:
    config(stream_keep_alive_seconds=0.1)
    async with streaming(of_game(game), await in_thread(bearer, "player2")) as stream:
        await begun(stream)
        await stream.block()
        assert [(await stream.block()).comment for _ in range(3)] == ["keep-alive"] * 3


async def test_a_stream_ends_after_its_time_and_after_its_bytes(game: Game, config: Callable[..., None]) -> None:
    job = await in_thread(act, game)
    player = await in_thread(bearer, "player2")
    config(stream_seconds=0.2)
    async with streaming(of_game(game), player) as stream:
        await stream.rest()
        assert stream.ended
    config(stream_seconds=NEVER_SECONDS, stream_bytes=1000)
    await in_thread(tell, job, *("x" * 100 for _ in range(50)))
    seen: list[int] = []
    for _ in range(50):
        async with streaming(of_game(game), player, query=f"last_event_id={seen[-1] if seen else 1}") as stream:
            while len(seen) < 50:
                try:
                    event = await stream.event()
                except EOFError:
                    break
                assert event.id is not None
                seen.append(event.id)
        if len(seen) == 50:
            break
    assert seen == list(range(2, 52))
