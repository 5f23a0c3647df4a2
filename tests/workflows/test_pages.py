"""The page of a request without JavaScript: who sees what of it, and what can be done there."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from accounts.models import AuditEntry
from games.operations import act
from jobs.models import Job
from jobs.operations.workflows import start
from jobs.testing import run_until_idle
from jobs.workflows import Automation
from tests.cast import Cast
from tests.workflows import kinds

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    kinds.ran.clear()


def browse(user: User, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(user)
    return client


def path(job: Job) -> str:
    return f"/requests/{job.public_id}/"


def read(client: Client, job: Job) -> str:
    """The page's main part, as it is read."""
    answer = client.get(path(job))
    assert answer.status_code == 200
    main = re.search(r"<main.*</main>", answer.content.decode(), re.DOTALL)
    assert main
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", main[0])).split())


def begun(cast: Cast, **options: Any) -> Job:
    job = start("test_five", {"text": "a"}, user=cast.player1, **options)
    run_until_idle()
    job.refresh_from_db()
    return job


def test_steps_are_shown_before_they_run_and_as_they_do(cast: Cast) -> None:
    job = start("test_five", {"text": "a"}, user=cast.player1)
    client = browse(cast.player1)
    page = read(client, job)
    assert page.count("to come") == 5
    assert "0 %" in page
    run_until_idle()
    page = read(client, job)
    assert "40 %" in page
    assert "Is this right?" in page
    assert "somebody has to confirm “Somebody checks”" in page
    assert "4. Somebody checks running" in page
    answer = client.post(path(job), {"do": "confirm", "step": "check", "version": "1", "key": "k"}, follow=True)
    assert "Confirmed." in answer.content.decode()
    run_until_idle()
    page = read(client, job)
    assert "100 %" in page
    assert "Result" in page
    assert "Is this right?" not in page


def test_words_are_said_and_counted_and_a_late_one_is_told(cast: Cast) -> None:
    job, client = begun(cast), browse(cast.player1)
    said = {"do": "say", "step": "check", "version": "1"}
    assert "does not confirm" in client.post(path(job), {**said, "text": "hm"}, follow=True).content.decode()
    assert "1 of 3 times" in read(client, job)
    client.post(path(job), {**said, "text": "done"})
    run_until_idle()
    late = client.post(path(job), {"do": "say", "step": "write", "version": "1", "text": "done"})
    assert late.status_code == 409
    assert 'role="alert"' in late.content.decode()
    assert client.post(path(job), {**said, "text": ""}).status_code == 422
    assert client.post(path(job), {"do": "nothing"}).status_code == 422
    for strange in ({"step": "a\0b"}, {"text": "a\0b"}, {"key": "a\0b"}, {"version": "x"}, {"version": "9" * 30}):
        assert client.post(path(job), {**said, "text": "done", **strange}).status_code in (409, 422)


def test_it_is_called_off_and_run_again(cast: Cast) -> None:
    job, client = begun(cast), browse(cast.player1)
    assert "Call it off" in read(client, job)
    client.post(path(job), {"do": "cancel"})
    page = read(client, job)
    assert "Somebody checks stopped" in page
    assert "Write left out" in page
    assert "Run it again" in page
    client.post(path(job), {"do": "retry"})
    run_until_idle()
    job.refresh_from_db()
    assert (job.run, job.status) == (2, "waiting")
    assert "40 %" in read(client, job)
    actions = AuditEntry.objects.filter(action__startswith="request.", actor=cast.player1)
    assert list(actions.order_by("id").values_list("action", flat=True)) == ["request.cancelled", "request.retried"]


def test_what_failed_says_why(cast: Cast) -> None:
    job = start("test_five", {"fail": "read"}, user=cast.player1, automation=Automation.FULL)
    run_until_idle()
    page = read(browse(cast.player1), job)
    assert "Read failed it can't be read" in page
    assert "Fetch left out" in page


def test_strangers_find_nothing_and_staff_with_the_right_see_no_more_than_the_course(cast: Cast) -> None:
    job = begun(cast)
    assert Client().get(path(job)).status_code == 302
    staff = User.objects.create_user("operator", is_staff=True)
    for user in (cast.player2, cast.stranger, cast.dm, staff):
        assert browse(user).get(path(job)).status_code == 404
        assert browse(user).post(path(job), {"do": "cancel"}).status_code == 404
    staff.user_permissions.add(Permission.objects.get(codename="view_job"))
    page = read(browse(staff), job)
    assert "What was asked" not in page
    assert "Is this right?" not in page
    assert "Call it off" not in page
    assert browse(staff).post(path(job), {"do": "cancel"}).status_code == 403
    staff.user_permissions.add(Permission.objects.get(codename="cancel_job"))
    assert "Call it off" in read(browse(User.objects.get(pk=staff.pk)), job)


def test_staff_who_may_not_inspect_jobs_see_no_words_of_it(cast: Cast) -> None:
    job = start("test_five", {"fail": "read"}, user=cast.player1, automation=Automation.FULL)
    run_until_idle()
    staff = User.objects.create_user("operator", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_job"))
    page = read(browse(staff), job)
    assert "unreadable" in page
    assert "it can't be read" not in page
    staff.user_permissions.add(Permission.objects.get(codename="inspect_job"))
    assert "it can't be read" in read(browse(User.objects.get(pk=staff.pk)), job)


def test_a_games_request_is_shown_to_its_members_and_private_words_to_deciders(cast: Cast) -> None:
    job = act(user=cast.player1, game=cast.game, text="I open the cellar door")
    run_until_idle()
    for user in (cast.player1, cast.player2, cast.dm):
        assert "a person is asked" in read(browse(user), job)
    assert "What was asked" in read(browse(cast.player1), job)
    assert "What was asked" not in read(browse(cast.player2), job)
    assert "/decisions/" in browse(cast.dm).get(path(job)).content.decode().split("<main")[1]
    assert "/decisions/" not in browse(cast.player2).get(path(job)).content.decode().split("<main")[1]
    assert browse(cast.stranger).get(path(job)).status_code == 404


def test_a_fragment_is_only_the_part_that_changes(cast: Cast) -> None:
    job = begun(cast)
    answer = browse(cast.player1).get(path(job), headers={"X-Fragment": "1"})
    assert answer.content.decode().lstrip().startswith('<div class="columns" id="request"')


def test_a_posted_form_needs_the_token(cast: Cast) -> None:
    job = begun(cast)
    client = browse(cast.player1, enforce_csrf_checks=True)
    assert client.post(path(job), {"do": "cancel"}).status_code == 403
