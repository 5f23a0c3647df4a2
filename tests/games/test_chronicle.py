"""The chronicle: a chapter in five steps, confirmed by a person, read by the members; and one begun every night."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from games.jobtypes import CHRONICLE, CHRONICLE_NIGHT, Night
from games.models import Chapter, Game, Turn
from jobs import invariants, queue_settings
from jobs.errors import Forbidden
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.models_metrics import QueueSettings
from jobs.operations.confirmations import confirm
from jobs.operations.enqueue import enqueue
from jobs.operations.workflows import start
from jobs.testing import run_next_killed, run_until_idle
from jobs.workflows import Automation
from tests.cast import Cast

pytestmark = pytest.mark.django_db(transaction=True)

TRACE = [
    "request.queued",
    "request.processing",
    "workflow.step.started gather",
    "workflow.step.completed gather",
    "workflow.step.started outline",
    "llm.processing",
    "workflow.step.completed outline",
    "workflow.step.started write",
    "llm.processing",
    "workflow.step.completed write",
    "workflow.step.started confirm",
    "workflow.step.progress confirm",
    "workflow.step.progress confirm",
    "workflow.step.completed confirm",
    "workflow.step.started publish",
    "game.chapter_published",
    "workflow.step.completed publish",
    "request.completed",
]


def play(cast: Cast, turns: int = 3) -> None:
    """So much has happened in the game."""
    first = cast.game.turns.count() + 1
    for number in range(first, first + turns):
        Turn.objects.create(
            game=cast.game,
            number=number,
            kind="player_action",
            actor=cast.player1,
            action=f"I do deed {number}",
            narration=f"Deed {number} is done. It is dark.",
            request=f"00000000-0000-7000-8000-{number:012}",
        )
    Game.objects.filter(pk=cast.game.pk).update(turn=first + turns - 1)


def chapter_of(cast: Cast, **options: Any) -> Job:
    job = start(CHRONICLE.name, {}, user=cast.dm, scope=cast.game.scope_key, **options)
    run_until_idle()
    job.refresh_from_db()
    return job


def told(job: Job) -> list[str]:
    rows = JobEvent.objects.filter(request=job.public_id).order_by("seq").values_list("event", "data")
    return [" ".join(filter(None, [event, (data or {}).get("step", "")])) for event, data in rows]


def test_a_chapter_is_made_of_what_has_happened_and_published_once_it_is_confirmed(cast: Cast) -> None:
    play(cast)
    job = chapter_of(cast)
    assert job.status == "waiting"
    assert not Chapter.objects.exists()
    confirm(user=cast.dm, request_id=job.public_id, text="fertig")
    run_until_idle()
    chapter = Chapter.objects.get()
    assert (chapter.number, chapter.first_turn, chapter.last_turn, chapter.request) == (1, 1, 3, job.public_id)
    assert "Deed 3 is done." in chapter.text
    assert chapter.title
    assert told(job) == TRACE
    assert invariants.broken() == {}


def test_the_next_chapter_tells_what_came_after(cast: Cast) -> None:
    play(cast)
    chapter_of(cast, automation=Automation.FULL)
    assert chapter_of(cast, automation=Automation.FULL).request_status == "rejected"
    play(cast, 2)
    chapter_of(cast, automation=Automation.FULL)
    spans = list(Chapter.objects.values_list("number", "first_turn", "last_turn"))
    assert spans == [(1, 1, 3), (2, 4, 5)]


def test_a_worker_killed_after_every_step_publishes_the_same_once(cast: Cast) -> None:
    play(cast)
    job = start(CHRONICLE.name, {}, user=cast.dm, scope=cast.game.scope_key)
    for _ in range(60):
        if run_next_killed() is None:
            if Job.objects.get(pk=job.pk).ended:
                break
            confirm(user=cast.dm, request_id=job.public_id, step="confirm", version=1)
    assert told(job) == TRACE
    assert Chapter.objects.count() == 1


def test_of_two_that_tell_the_same_turns_only_one_is_published(cast: Cast) -> None:
    play(cast)
    first, second = chapter_of(cast), chapter_of(cast)
    for job in (first, second):
        confirm(user=cast.dm, request_id=job.public_id)
    run_until_idle()
    assert Chapter.objects.count() == 1
    second.refresh_from_db()
    assert second.error is not None
    assert second.error["code"] == "told_already"


def test_only_a_dm_has_chapters_written(cast: Cast) -> None:
    with pytest.raises(Forbidden):
        start(CHRONICLE.name, {}, user=cast.player1, scope=cast.game.scope_key)


def test_every_night_a_chapter_is_begun_where_something_has_happened(cast: Cast) -> None:
    play(cast)
    for _ in range(2):
        enqueue(CHRONICLE_NIGHT, Night())
        run_until_idle()
    job = Job.objects.get(type=CHRONICLE.name)  # one, though two nights have passed: it is still being made
    assert (job.owner, job.status) == (cast.dm, "waiting")
    assert (
        list(Job.objects.filter(type=CHRONICLE_NIGHT.name).order_by("pk").values_list("status", flat=True))
        == ["completed"] * 2
    )


def test_a_game_whose_chapter_is_refused_holds_up_no_others_of_that_night(cast: Cast) -> None:
    for game in (cast.game, cast.other):
        Turn.objects.create(game=game, number=1, kind="chat", narration="It is dark.", request=uuid4())
    Game.objects.update(turn=1)
    QueueSettings.objects.create(queue="system", rate_per_user="1/hour")
    queue_settings.forget()
    night = enqueue(CHRONICLE_NIGHT, Night())
    run_until_idle()
    night.refresh_from_db()
    assert (night.status, night.result) == ("completed", 1)


def test_what_is_too_long_for_a_prompt_is_told_as_far_as_there_is_room(cast: Cast) -> None:
    Game.objects.filter(pk=cast.game.pk).update(opening="Ж" * 60_000, turn=2)
    for number in (1, 2):
        text = f"Deed {number}. {'Ж' * 30_000}"
        Turn.objects.create(game=cast.game, number=number, kind="chat", narration=text, request=uuid4())
    job = chapter_of(cast, automation=Automation.FULL)
    assert job.status == "completed", job.error
    spans = list(Chapter.objects.values_list("first_turn", "last_turn"))
    assert spans == [(1, 1)]


def browse(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_members_read_the_chronicle_and_a_dm_has_it_continued(cast: Cast) -> None:
    play(cast)
    path = f"/play/{cast.game.pk}/chronicle/"
    assert "No chapter has been written yet" in browse(cast.player1).get(path).content.decode()
    assert "Have it written" not in browse(cast.player1).get(path).content.decode()
    assert browse(cast.stranger).get(path).status_code == 404
    assert browse(cast.player1).post(path, {"text": ""}).status_code == 403
    answer = browse(cast.dm).post(path, {"text": "the dark"})
    job = Job.objects.get(type=CHRONICLE.name)
    assert (answer.status_code, answer["Location"]) == (302, f"/requests/{job.public_id}/")
    run_until_idle()
    assert "A chapter is being made" in browse(cast.player1).get(path).content.decode()
    assert "A person confirms, 4 of 5, 82 %" in browse(cast.player1).get(f"/play/{cast.game.pk}/").content.decode()
    listed = browse(cast.admin).get("/admin/jobs/job/").content.decode()
    assert "A person confirms, 4 of 5, 82 %" in listed
    one = browse(cast.admin).get(f"/admin/jobs/job/{job.pk}/change/").content.decode()
    assert f"/requests/{job.public_id}/" in one
    assert "waits for a confirmation" in one
    confirm(user=cast.dm, request_id=job.public_id)
    run_until_idle()
    page = browse(cast.player1).get(path).content.decode()
    assert 'id="chapter-1"' in page
    log = browse(cast.player1).get(f"/play/{cast.game.pk}/").content.decode()
    assert f'href="{path}#chapter-1"' in log
    assert f'href="/requests/{job.public_id}/"' in log
    assert browse(cast.dm).post(path, {"text": "x" * 3000}).status_code == 422
    assert browse(cast.player1).get(f"{path}?before=1").status_code == 200


def test_the_chronicle_is_read_over_http_by_members(cast: Cast) -> None:
    play(cast)
    chapter_of(cast, automation=Automation.FULL)
    path = f"/v1/games/{cast.game.pk}/chapters"
    answer: Any = Client().get(path, headers=cast.bearer(cast.player2))
    assert [item["number"] for item in answer.json()["items"]] == [1]
    assert answer.json()["items"][0]["request_id"] == str(Chapter.objects.get().request)
    assert answer.json()["next"] is None
    assert Client().get(path, headers=cast.bearer(cast.stranger)).status_code == 404
    assert Client().get(f"{path}?limit=0", headers=cast.bearer(cast.dm)).status_code == 422
