"""The decision queue in a browser without JavaScript: what it shows, to whom, and what its forms do."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from approvals.models import Approval
from approvals.operations import decide
from jobs.models import Job
from jobs.testing import run_until_idle
from tests.approvals.conftest import Cast
from tests.approvals.tables import Table, approval_of, history, result, unknown_id

pytestmark = pytest.mark.django_db(transaction=True)

Say = Callable[..., Job]
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "{{ 7|add:1 }}{% now 'Y' %}",
    "</textarea><script>alert(2)</script>",
    "javascript:alert(1)",
    "&lt;b&gt;already&lt;/b&gt;",
)


class Elements(HTMLParser):
    """The names of the elements and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(f"{tag} {sorted(name for name, _ in attrs)}")


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def shown(response: Any) -> str:
    """The page's text as a reader sees it."""
    text = re.sub(r"<[^>]*>", " ", response.content.decode())
    return " ".join(html.unescape(text).split())


@pytest.fixture
def dm(cast: Cast) -> Client:
    return browser(cast.dm)


def url(approval: Approval) -> str:
    return f"/decisions/{approval.pk}/"


def test_the_queue_shows_each_card_with_what_is_needed_to_decide(dm: Client, approval: Approval) -> None:
    text = shown(dm.get("/decisions/"))
    for part in (
        "Table <b>table:one</b>: player",
        "I open the door",
        "The door creaks open.",
        'door "shut" → "open"',
        "asked ",
        f"due {approval.due_at:%-d %b, %H:%M:%S} UTC , then: rejected",
        "version 1, draft 1 of 5, by test-model",
        "Accept a",
        "Edit e",
        "Reject r",
        "Take over t",
    ):
        assert part in text


def test_an_empty_queue_says_so(dm: Client, table: Table) -> None:
    assert "Nothing waits for a decision." in shown(dm.get("/decisions/"))


def test_the_most_urgent_comes_first_and_the_rest_on_further_pages(
    dm: Client, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("approvals.views.CARDS", 2)
    made = [approval_of(say(text=f"action {n}")) for n in range(3)]
    for minutes, approval in zip((5, 9, 1), made, strict=True):
        Approval.objects.filter(pk=approval.pk).update(due_at=f"2030-01-01T00:0{minutes}:00Z")
    first = dm.get("/decisions/")
    assert re.findall(r"action \d", shown(first)) == ["action 2", "action 0"]
    more = re.search(r'href="(/decisions/\?cursor=[^"]+)"', first.content.decode())
    assert more is not None
    second = dm.get(html.unescape(more[1]))
    assert re.findall(r"action \d", shown(second)) == ["action 1"]
    assert "More that wait" not in shown(second)
    assert dm.get("/decisions/?cursor=nonsense").headers["Location"] == "/decisions/"


def test_the_list_is_also_a_fragment(dm: Client, approval: Approval) -> None:
    fragment = dm.get("/decisions/pending/").content.decode()
    assert str(approval.pk) in fragment
    assert "<html" not in fragment


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"decision": "accept"}, {"text": "The door creaks open.", "changes": ["door"], "by": "dm"}),
        (
            {"decision": "modify", "text": "Shut.", "path": ["door", "x"], "op": ["", "add"], "value": ["open", "1"]},
            {"text": "Shut.", "changes": ["x"], "by": "dm"},
        ),
        ({"decision": "take_over", "text": "Mine."}, {"text": "Mine.", "changes": [], "by": "dm"}),
        ({"decision": "reject", "reason": "No.", "regenerate": ""}, {"rejected": True, "reason": "No."}),
    ],
)
def test_a_posted_decision_is_taken_and_leads_back_to_the_queue(
    dm: Client, approval: Approval, form: dict[str, Any], expected: dict[str, Any]
) -> None:
    response = dm.post(url(approval), {"version": 1, **form})
    assert (response.status_code, response.headers["Location"]) == (302, "/decisions/")
    assert result(approval) == expected
    assert "Done:" in shown(dm.get("/decisions/"))


def test_the_edit_form_sent_back_unchanged_changes_nothing(dm: Client, say: Say) -> None:
    values: list[Any] = [
        "5",
        5,
        "open wide",
        " a ",
        "",
        None,
        True,
        [1, {"a": "b"}],
        '{"a"',
        '"quoted"',
        "a\nb",
        "null",
    ]
    changes = [{"path": f"p{n}", "op": "set", "value": value} for n, value in enumerate(values)]
    changes += [{"path": "r", "op": "remove", "value": None}, {"path": "q", "op": "remove", "value": "x"}]
    approval = approval_of(say(draft='\n A "draft" & more.', changes=changes))
    page = dm.get(url(approval)).content.decode()
    form = re.search(r'id="edit-.*?</form>', page, re.DOTALL)
    assert form is not None
    text = re.search(r"<textarea.*?>\n(.*?)</textarea>", "<textarea" + form[0], re.DOTALL)
    assert text is not None
    posted = {
        "version": 1,
        "decision": "modify",
        "text": html.unescape(text[1]),
        "path": [html.unescape(found) for found in re.findall(r'name="path".*?value="(.*?)"', form[0], re.DOTALL)],
        "op": re.findall(r"<option selected>(\w+)<", form[0]),
        "value": [html.unescape(found) for found in re.findall(r'name="value".*?value="(.*?)"', form[0], re.DOTALL)],
    }
    assert dm.post(url(approval), posted).status_code == 302
    entry = approval.decisions.get()
    diff: Any = entry.diff
    assert diff["changes"] == {"out": [], "in": []}
    assert [change["value"] for change in entry.changes[: len(values)]] == values


def test_a_redraft_shows_the_earlier_version_and_its_reason(dm: Client, approval: Approval) -> None:
    dm.post(url(approval), {"version": 1, "decision": "reject", "reason": "darker, please", "regenerate": "1"})
    run_until_idle()
    for text in (shown(dm.get("/decisions/")), shown(dm.get(url(approval)))):
        assert "version 2, draft 2 of 5" in text
        assert "The door creaks open. (darker, please)" in text
        assert "Version 1 first draft" in text
        assert "“darker, please”" in text


def test_the_last_draft_offers_no_other(dm: Client, approval: Approval, config: Callable[..., None]) -> None:
    config(decision_drafts=1)
    assert "There were 1 drafts, and no more are made." in shown(dm.get(url(approval)))
    response = dm.post(url(approval), {"version": 1, "decision": "reject", "reason": "again", "regenerate": "1"})
    assert response.status_code == 422
    assert "decide on this one" in shown(response)


def test_a_late_decision_shows_who_decided_what_and_keeps_what_was_typed(
    dm: Client, approval: Approval, cast: Cast
) -> None:
    decide(user=cast.dm2, approval_id=approval.pk, version=1, decision="reject", reason="no & never")
    response = dm.post(url(approval), {"version": 1, "decision": "modify", "text": "My long edit."})
    assert response.status_code == 409
    text = shown(response)
    assert "version 1 was rejected by dm2" in text
    assert "“no & never”" in text
    assert "What you wrote My long edit." in text
    assert history(approval) == [(1, "decide", "reject", "dm2")]


def test_a_decision_on_an_old_version_shows_the_new_one_and_keeps_what_was_typed(
    dm: Client, approval: Approval, cast: Cast
) -> None:
    decide(user=cast.dm2, approval_id=approval.pk, version=1, decision="reject", reason="x", regenerate=True)
    run_until_idle()
    response = dm.post(
        url(approval),
        {"version": 1, "decision": "take_over", "text": "My own.", "path": "a", "op": "add", "value": "2"},
    )
    assert response.status_code == 409
    page = response.content.decode()
    assert 'name="version" value="2"' in page
    assert 'name="version" value="1"' not in page
    assert "My own.</textarea>" in page
    assert re.search(r'name="path"[^>]*value="a"', page)


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        ({"decision": "modify", "text": ""}, "text is needed"),
        ({"decision": "reject", "regenerate": ""}, "reason is needed"),
        ({"decision": "modify", "text": "x", "path": "a b", "op": "set", "value": "1"}, "changes.0.path"),
        ({"decision": "modify", "text": "x", "path": "a", "op": "set", "value": '{"open": '}, "begins like JSON"),
        ({"decision": "modify", "text": "x", "path": "a", "op": "set", "value": ""}, "set needs a value"),
        ({"decision": "modify", "text": "a\x00b"}, "control characters"),
        ({"decision": "nothing"}, "decision use one of"),
        ({}, "decision use one of"),
        ({"decision": "accept", "version": "one"}, "version is missing"),
        ({"decision": "accept", "version": "9" * 40}, "version is missing"),
        ({"decision": "accept", "version": "٣"}, "version is missing"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_happens(
    dm: Client, approval: Approval, form: dict[str, Any], complaint: str
) -> None:
    response = dm.post(url(approval), {"version": 1, **form})
    assert response.status_code == 422
    assert complaint in shown(response)
    assert history(approval) == []


def test_a_script_gets_the_card_alone(dm: Client, approval: Approval) -> None:
    wrong = dm.post(url(approval), {"version": 1, "decision": "modify"}, headers={"X-Fragment": "1"})
    assert (wrong.status_code, wrong.content.decode().strip()[:8]) == (422, "<article")
    done = dm.post(url(approval), {"version": 1, "decision": "accept"}, headers={"X-Fragment": "1"})
    assert done.status_code == 200
    assert "Accepted by dm." in shown(done)
    assert "data-actions" not in done.content.decode()


@pytest.mark.parametrize(
    ("who", "queue", "card"),
    [
        ("dm", 200, 200),
        ("dm2", 200, 200),
        ("other_dm", 200, 404),
        ("player", 403, 403),
        ("stranger", 403, 403),
    ],
)
def test_rights_of_everyone(approval: Approval, cast: Cast, who: str, queue: int, card: int) -> None:
    client = browser(getattr(cast, who))
    for path in ("/decisions/", "/decisions/pending/", "/decisions/history/"):
        response = client.get(path)
        assert response.status_code == queue
        assert (str(approval.pk) in response.content.decode()) == (card == 200 and "history" not in path)
    assert client.get(url(approval)).status_code == card
    if card != 200:
        assert client.post(url(approval), {"version": 1, "decision": "accept"}).status_code == card
        assert history(approval) == []


def test_a_player_of_one_table_who_decides_at_another_is_told_the_difference(
    approval: Approval, cast: Cast, table: Table
) -> None:
    table.players.append(cast.other_dm)
    assert browser(cast.other_dm).get(url(approval)).status_code == 403


def test_nobody_sees_anything_without_signing_in(approval: Approval) -> None:
    for path in ("/decisions/", "/decisions/pending/", "/decisions/history/", url(approval)):
        response = Client().get(path)
        assert response.status_code == 302
        assert response.headers["Location"].startswith("/sign-in/")


def test_a_decision_needs_the_csrf_token_and_a_post(approval: Approval, cast: Cast) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.dm)
    assert client.post(url(approval), {"version": 1, "decision": "accept"}).status_code == 403
    assert client.get(url(approval), {"version": "1", "decision": "accept"}).status_code == 200
    assert history(approval) == []


def test_what_is_not_there_is_404(dm: Client, approval: Approval) -> None:
    assert dm.get(f"/decisions/{unknown_id()}/").status_code == 404
    assert dm.get("/decisions/1/").status_code == 404


def test_pages_are_never_cached_and_hold_no_inline_script(dm: Client, approval: Approval) -> None:
    for path in ("/decisions/", "/decisions/history/", url(approval)):
        response = dm.get(path)
        assert "no-store" in response.headers["Cache-Control"]
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", response.content.decode())


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_is_shown_as_text_everywhere(dm: Client, say: Say, cast: Cast, hostile: str, table: Table) -> None:
    def play(word: str) -> list[Any]:
        approval = approval_of(
            say(text=word, draft=word, notes=[word], changes=[{"path": "a", "op": "set", "value": word, "was": word}])
        )
        change = {"path": "a", "op": "set", "value": f"{word}!"}
        pages = [dm.get("/decisions/"), dm.get(url(approval))]
        pages.append(
            dm.post(
                url(approval),
                {"version": 1, "decision": "take_over", "text": word, "path": f"a {word}", "op": "set", "value": word},
            )
        )
        decide(user=cast.dm, approval_id=approval.pk, version=1, decision="reject", reason=word, regenerate=True)
        run_until_idle()
        pages += [dm.get("/decisions/"), dm.get(url(approval))]
        decide(
            user=cast.dm,
            approval_id=approval.pk,
            version=2,
            decision="modify",
            text=f"{word} ?",
            reason=word,
            changes=[change],
        )
        pages += [dm.get(url(approval)), dm.get("/decisions/history/"), dm.get("/decisions/history/", {"person": word})]
        return pages

    calm, wild = play("calm"), play(hostile)
    for before, after in zip(calm, wild, strict=True):
        assert set(Elements(after.content.decode()).found) == set(Elements(before.content.decode()).found)
        assert not re.search(r"<(script(?! src=\"/static/)|svg|img)", after.content.decode())
    assert hostile in html.unescape(wild[0].content.decode())


def test_characters_that_hide_or_turn_text_around_are_written_out(dm: Client, say: Say) -> None:
    approval = approval_of(say(text="a\u202eb\u200bc", draft="x\u2066y\ufeffz", notes=["n\u200f"]))
    for page in (shown(dm.get("/decisions/")), shown(dm.get(url(approval)))):
        for part in ("a[U+202E]b[U+200B]c", "x[U+2066]y[U+FEFF]z", "n[U+200F]"):
            assert part in page


def test_history_is_found_by_game_decision_and_person(
    dm: Client, say: Say, table: Table, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decided(text: str, user: User, **said: Any) -> None:
        decide(user=user, approval_id=approval_of(say(text=text)).pk, version=1, **said)

    def found(**query: str) -> list[str]:
        return re.findall(r"say \d", shown(dm.get("/decisions/history/", query)))

    decided("say 1", cast.dm, decision="accept")
    decided("say 2", cast.dm2, decision="reject", reason="x")
    table.wants(ask=False)
    say(text="say 3")
    assert found() == ["say 3", "say 2", "say 1"]
    assert found(decision="accept") == ["say 3", "say 1"]
    assert found(person="dm2") == ["say 2"]
    assert found(person="system") == ["say 3"]
    assert found(game="table:one", decision="reject") == ["say 2"]
    assert found(game="table:other") == []
    assert found(game="\x00", person="nobody") == []
    monkeypatch.setattr("approvals.views.ROWS", 2)
    first = dm.get("/decisions/history/", {"decision": "accept"})
    assert "Earlier" not in shown(first)
    first = dm.get("/decisions/history/")
    following = re.search(r'href="\?([^"]*cursor=[^"]+)"', first.content.decode())
    assert following is not None
    assert re.findall(r"say \d", shown(dm.get(f"/decisions/history/?{html.unescape(following[1])}"))) == ["say 1"]


def test_a_page_of_cards_costs_a_bounded_number_of_queries(
    dm: Client, say: Say, django_assert_max_num_queries: Any
) -> None:
    for _ in range(6):
        say()
    with django_assert_max_num_queries(12):
        dm.get("/decisions/")
