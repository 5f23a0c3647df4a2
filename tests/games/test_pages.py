"""The pages of games without JavaScript: what is shown of every request, acting, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.test import Client

from approvals.models import Approval
from approvals.operations import decide
from games import entries
from games.jobtypes import STORY_EVENT, StoryEvent
from games.models import Game, Membership, Role
from games.operations import act, present
from jobs.models import Job
from jobs.operations.enqueue import enqueue
from jobs.testing import run_until_idle
from tests.cast import Cast
from tests.games.story import ask, fresh, result_of, rule

pytestmark = pytest.mark.django_db(transaction=True)

SCRIPT = '<script>alert("x")</script><img src=x onerror=alert(1)>'


@pytest.fixture
def browse() -> Callable[..., Client]:
    def signed_in(user: User, **options: Any) -> Client:
        client = Client(**options)
        client.force_login(user)
        return client

    return signed_in


def page_of(client: Client, game: Game, path: str = "") -> str:
    answer = client.get(f"/play/{game.pk}/{path}")
    assert answer.status_code == 200
    return answer.content.decode()


def entry_of(html: str, job: Job) -> str:
    """The text of the request's entry, as it is read."""
    match = re.search(rf'<article [^>]*id="request-{job.public_id}".*?</article>', html, re.DOTALL)
    assert match, f"no entry of {job}"
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", match[0])).split())


def test_someone_who_is_not_signed_in_meets_the_sign_in_form(cast: Cast) -> None:
    home = Client().get("/")
    assert home.status_code == 200
    assert 'action="/sign-in/"' in home.content.decode()
    answer = Client().get(f"/play/{cast.game.pk}/")
    assert answer.status_code == 302
    assert answer["Location"] == f"/sign-in/?next=/play/{cast.game.pk}/"


def test_ones_games_are_shown_with_what_waits_in_them(cast: Cast, browse: Callable[..., Client]) -> None:
    ask(cast.player1, cast.game)
    html = browse(cast.dm).get("/").content.decode()
    assert html.count("waiting for your decision") == 1
    assert "The Cellar" in html
    assert "The Tower" in html
    assert "waiting for your decision" not in browse(cast.player1).get("/").content.decode()
    assert "The Cellar" not in browse(cast.stranger).get("/").content.decode()


@pytest.mark.parametrize("name", ["stranger", "admin"])
def test_a_stranger_finds_no_page(cast: Cast, browse: Callable[..., Client], name: str) -> None:
    job = ask(cast.dm, cast.game, "It rains.")
    client = browse(getattr(cast, name))
    for path in ("", "state/", f"requests/{job.public_id}/"):
        assert client.get(f"/play/{cast.game.pk}/{path}").status_code == 404
    assert client.post(f"/play/{cast.game.pk}/", {"text": "Hello"}).status_code == 404


@pytest.mark.parametrize("path", [f"{UUID(int=1)}/", "nonsense/", "%00/"])
def test_an_unknown_game_has_no_page(cast: Cast, browse: Callable[..., Client], path: str) -> None:
    assert browse(cast.player1).get(f"/play/{path}").status_code == 404


def test_a_request_has_its_entry_in_its_own_game_only(cast: Cast, browse: Callable[..., Client]) -> None:
    job = ask(cast.dm, cast.game, "It rains.")
    client = browse(cast.player1)
    assert "It rains." in page_of(client, cast.game, f"requests/{job.public_id}/")
    for game, request in ((cast.other, job.public_id), (cast.game, uuid4())):
        assert client.get(f"/play/{game.pk}/requests/{request}/").status_code == 404


def test_an_entry_tells_where_its_request_stands(cast: Cast, browse: Callable[..., Client]) -> None:
    job, behind = (act(user=user, game=cast.game, text="I look around") for user in (cast.player1, cast.player2))
    third = act(user=cast.player2, game=cast.game, text="I wait")
    client = browse(cast.player1)
    html = page_of(client, cast.game)
    assert "queued, next in line" in entry_of(html, job)
    assert "queued, 1 ahead" in entry_of(html, behind)
    run_until_idle()
    html = page_of(client, cast.game)
    assert "the DM is deciding since" in entry_of(html, job)
    assert "due" in entry_of(html, job)
    waiting = entry_of(html, third)
    assert "queued, 2 ahead" in waiting
    assert "waits behind player1, on whom the DM decides since" in waiting
    assert "no DM is online" in waiting
    present([Membership.objects.get(user=cast.dm, game=cast.game).pk])
    assert "no DM is online" not in entry_of(page_of(client, cast.game), third)
    job = rule(cast.dm, job)
    told = entry_of(page_of(client, cast.game), job)
    assert result_of(job)["narration"] in told
    assert "turn 1" in told


def test_an_entry_tells_how_its_request_ended(cast: Cast, browse: Callable[..., Client]) -> None:
    rejected = rule(cast.dm, ask(cast.player1, cast.game), "reject", reason="The door is a painting.")
    failed = ask(cast.dm, cast.game, "Hm.", changes=[{"path": "clock", "op": "set", "value": 1, "was": 7}])
    changed = ask(cast.dm, cast.game, "", changes=[{"path": "clock", "op": "add", "value": 2}])
    html = page_of(browse(cast.player1), cast.game)
    assert "rejected I open the cellar door Not this time: The door is a painting." in entry_of(html, rejected)
    assert "failed Hm. The state has changed: clock is now 3 (was 7)." in entry_of(html, failed)
    assert "clock 3 + 2" in entry_of(html, changed)


def test_only_a_dm_is_led_to_the_decision(cast: Cast, browse: Callable[..., Client]) -> None:
    ask(cast.player1, cast.game)
    link = f"/decisions/{Approval.objects.get().pk}/"
    assert link in page_of(browse(cast.dm), cast.game)
    assert link not in page_of(browse(cast.player1), cast.game)


def test_a_draft_is_on_no_page_before_it_is_decided(cast: Cast, browse: Callable[..., Client]) -> None:
    job = ask(cast.player1, cast.game)
    draft = result_of(job.children.get())["text"]
    assert draft not in unescape(page_of(browse(cast.player1), cast.game))


def test_a_posted_action_is_asked_for_and_shown(cast: Cast, browse: Callable[..., Client]) -> None:
    client = browse(cast.player1)
    answer = client.post(f"/play/{cast.game.pk}/", {"text": "I wait\r\nand listen", "key": "k1"})
    job = Job.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/play/{cast.game.pk}/#request-{job.public_id}")
    assert job.payload["text"] == "I wait\nand listen"
    client.post(f"/play/{cast.game.pk}/", {"text": "I wait\r\nand listen", "key": "k1"})
    assert Job.objects.count() == 1


@pytest.mark.parametrize(
    ("text", "detail"), [("", "is empty"), ("a\0b", "control characters"), ("x" * 5000, "longer than 4000")]
)
def test_a_refused_action_comes_back_with_its_text_and_the_reason(
    cast: Cast, browse: Callable[..., Client], text: str, detail: str
) -> None:
    answer = browse(cast.player1).post(f"/play/{cast.game.pk}/", {"text": text})
    html = answer.content.decode()
    assert answer.status_code == 422
    assert re.search(rf'role="alert">[^<]*{detail}', html)
    assert f">\n{text}</textarea>" in html
    assert not Job.objects.exists()


def test_a_form_from_elsewhere_is_refused(cast: Cast, browse: Callable[..., Client]) -> None:
    client = browse(cast.player1, enforce_csrf_checks=True)
    assert client.post(f"/play/{cast.game.pk}/", {"text": "Hello"}).status_code == 403
    assert not Job.objects.exists()


def test_a_dm_changes_the_state_as_the_page_showed_it(cast: Cast, browse: Callable[..., Client]) -> None:
    client = browse(cast.dm)
    shown = re.search(r'name="shown" [^>]*value="([^"]*)"', page_of(client, cast.game))
    assert shown
    rows = {
        "path": ["party.gold", "", "doors.cellar", "notes.first"],
        "op": ["add", "set", "set", "set"],
        "value": ["-2", "", "wide open", '"5"'],
    }
    client.post(f"/play/{cast.game.pk}/", {"text": "", "shown": unescape(shown[1]), **rows})
    assert Job.objects.get().payload["changes"] == [
        {"path": "party.gold", "op": "add", "value": -2, "was": 12},
        {"path": "doors.cellar", "op": "set", "value": "wide open", "was": "closed"},
        {"path": "notes.first", "op": "set", "value": "5", "was": None},
    ]


@pytest.mark.parametrize("shown", ["", "no JSON", "[]", "[" * 100_000])
def test_changes_without_the_state_they_were_made_on_are_refused(
    cast: Cast, browse: Callable[..., Client], shown: str
) -> None:
    change = {"path": "clock", "op": "set", "value": "1", "shown": shown}
    answer = browse(cast.dm).post(f"/play/{cast.game.pk}/", {"text": "Hm", **change})
    assert answer.status_code == 422
    assert "reload" in answer.content.decode()


def test_a_malformed_change_comes_back_as_it_was_typed(cast: Cast, browse: Callable[..., Client]) -> None:
    change = {"path": "party gold", "op": "add", "value": "x", "shown": json.dumps(cast.game.state)}
    answer = browse(cast.dm).post(f"/play/{cast.game.pk}/", {"text": "Hm", **change})
    html = answer.content.decode()
    assert answer.status_code == 422
    assert "changes.0.path" in html
    assert 'value="party gold"' in html
    assert "<details open>" in html


def test_a_players_form_changes_no_state(cast: Cast, browse: Callable[..., Client]) -> None:
    client = browse(cast.player1)
    assert 'name="path"' not in page_of(client, cast.game)
    change = {"path": "clock", "op": "set", "value": "1", "shown": json.dumps(cast.game.state)}
    assert client.post(f"/play/{cast.game.pk}/", {"text": "Hm", **change}).status_code == 403


def test_markup_is_shown_as_text_wherever_it_comes_from(cast: Cast, browse: Callable[..., Client]) -> None:
    Game.objects.update(name=SCRIPT, opening=SCRIPT, state={"secret": SCRIPT, SCRIPT: [SCRIPT]})
    User.objects.filter(pk=cast.player1.pk).update(username=SCRIPT)
    job = ask(User.objects.get(pk=cast.player1.pk), Game.objects.get(pk=cast.game.pk), SCRIPT)
    rule(cast.dm, job, "modify", text=SCRIPT, changes=[{"path": "x", "op": "set", "value": SCRIPT}])
    rule(cast.dm, ask(cast.player2, cast.game, SCRIPT), "reject", reason=SCRIPT)
    client = browse(cast.dm)
    answer = client.get(f"/play/{cast.game.pk}/")
    pages = [answer.content.decode(), client.get("/").content.decode(), page_of(client, cast.game, "state/")]
    for html in pages:
        assert "&lt;script&gt;" in html
        assert "<script>" not in html
        assert "<img" not in html
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert "onerror" not in re.sub(r"&lt;.*?&gt;", "", pages[0])


def test_the_page_carries_what_its_script_needs(cast: Cast, browse: Callable[..., Client]) -> None:
    ask(cast.dm, cast.game, "It rains.")
    html = page_of(browse(cast.player1), cast.game)
    for name, value in {
        "game": cast.game.pk,
        "role": "player",
        "cursor": 4,
        "socket": f"/ws/games/{cast.game.pk}/",
        "entry-url": f"/play/{cast.game.pk}/requests/__id__/",
        "state-url": f"/play/{cast.game.pk}/state/",
    }.items():
        assert f'data-{name}="{value}"' in html


def test_a_long_history_is_shown_page_by_page_without_gap_or_doubles(
    cast: Cast, browse: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "PAGE_ENTRIES", 2)
    jobs = [ask(cast.dm, cast.game, f"Line {9 - n}.") for n in range(5)]
    client, path = browse(cast.player1), ""
    found: list[str] = []
    while True:
        html = page_of(client, cast.game, path)
        found = re.findall(r'data-request="([^"]+)"', html) + found
        earlier = re.search(r'href="(\?before=[^"]+)"', html)
        assert (cast.game.opening in html) == (earlier is None)
        if earlier is None:
            break
        path = earlier[1]
    assert found == [str(job.public_id) for job in jobs]


def test_an_earlier_page_that_cannot_be_is_the_latest(cast: Cast, browse: Callable[..., Client]) -> None:
    job = ask(cast.dm, cast.game, "It rains.")
    assert entry_of(page_of(browse(cast.player1), cast.game, "?before=%00nonsense"), job)


def test_a_turn_outlives_its_request(cast: Cast, browse: Callable[..., Client]) -> None:
    job = rule(cast.dm, ask(cast.player1, cast.game))
    before = entry_of(page_of(browse(cast.player1), cast.game), job)
    Approval.objects.update(job=None)
    Job.objects.filter(parent=job).delete()
    Job.objects.filter(pk=job.pk).delete()
    after = entry_of(page_of(browse(cast.player1), cast.game), job)
    assert result_of(job)["narration"] in after
    assert after.split("UTC")[1] == before.split("UTC")[1]


def test_a_draft_that_is_made_again_and_one_that_may_be_taken_back_are_told_apart(
    cast: Cast, browse: Callable[..., Client]
) -> None:
    Game.objects.update(undo_seconds=60)
    first, second = ask(cast.player1, cast.game), ask(cast.player1, cast.other)
    rule(cast.dm, first)
    approval = Approval.objects.get(job=second)
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="reject", regenerate=True)
    client = browse(cast.player1)
    assert "has decided, and may still take it back" in entry_of(page_of(client, cast.game), fresh(first))
    assert "asked for another draft" in entry_of(page_of(client, cast.other), fresh(second))


def test_many_open_requests_cost_no_more_queries_than_a_few(
    cast: Cast, browse: Callable[..., Client], django_assert_max_num_queries: Callable[..., Any]
) -> None:
    for _ in range(20):
        act(user=cast.player1, game=cast.game, text="I wait")
    run_until_idle()
    client = browse(cast.player1)
    page_of(client, cast.game)
    with django_assert_max_num_queries(16):
        page_of(client, cast.game)


def test_a_dm_seen_lately_is_shown_as_online(cast: Cast, browse: Callable[..., Client]) -> None:
    client = browse(cast.player1)
    assert "no DM online" in page_of(client, cast.game)
    present([Membership.objects.get(user=cast.dm, game=cast.game).pk])
    assert "no DM online" not in page_of(client, cast.game)
    Membership.objects.filter(role=Role.DM).update(seen_at=Now() - timedelta(hours=1))
    assert "no DM online" in page_of(client, cast.game)


def test_what_is_said_is_asked_as_chat_once_however_often_it_is_posted(
    cast: Cast, browse: Callable[..., Client]
) -> None:
    client = browse(cast.player1)
    form = {"text": "Is anybody there?", "key": "one", "ask": "chat"}
    for _ in range(2):
        assert client.post(f"/play/{cast.game.pk}/", form).status_code == 302
    job = Job.objects.get(type="chat")
    assert "player1 says" in entry_of(page_of(client, cast.game), job)
    assert client.post(f"/play/{cast.game.pk}/", {"text": " ", "key": "two", "ask": "chat"}).status_code == 422


def test_what_happens_by_itself_is_told_by_the_story(cast: Cast, browse: Callable[..., Client]) -> None:
    payload = StoryEvent(game_id=cast.game.pk, text="The bell", events=["bell"])
    job = enqueue(STORY_EVENT, payload, scope=cast.game.scope_key, ordering_key=cast.game.scope_key)
    shown = entry_of(page_of(browse(cast.player1), cast.game), job)
    assert shown.startswith("The story ")
    assert "The bell" not in shown
