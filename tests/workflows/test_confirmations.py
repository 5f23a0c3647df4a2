"""Confirming steps: by click, keyword and card; and what comes when nobody does."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEntry
from approvals.models import Approval
from approvals.operations import decide
from games.models import Membership, Role
from jobs import invariants
from jobs.context import JobContext
from jobs.errors import Conflict, Forbidden, Invalid, NotFound
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.models_waits import Wait
from jobs.models_workflows import Confirmation, ConfirmationText
from jobs.operations.answers import wake
from jobs.operations.confirmations import confirm, is_keyword
from jobs.operations.controls import cancel
from jobs.operations.leases import LeaseLost
from jobs.operations.workflows import start
from jobs.progress import progress_of
from jobs.queries import get_request
from jobs.testing import run_until_idle
from jobs.testing.running import bury_worker
from jobs.workflows import Automation
from tests.cast import Cast
from tests.together import at_once
from tests.waiting import wait_until
from tests.workflows import kinds
from tests.workflows.test_steps import told

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    kinds.ran.clear()


def begun(user: User, name: str = "test_five", **options: Any) -> Job:
    """A workflow that waits for somebody."""
    job = start(name, {}, user=user, **options)
    run_until_idle()
    job.refresh_from_db()
    assert job.status == "waiting"
    return job


def ended(job: Job) -> Job:
    run_until_idle()
    job.refresh_from_db()
    assert job.ended
    assert invariants.broken() == {}
    return job


def decision_of(job: Job) -> str:
    assert job.result is not None
    return str(job.result["decision"])


def messages(job: Job, step: str) -> list[tuple[str, str]]:
    events = JobEvent.objects.filter(request=job.public_id, data__step=step).order_by("seq")
    return [(event.event.removeprefix("workflow.step."), event.data["message"]) for event in events if event.data]


def late() -> None:
    """The time of what is asked is up."""
    wait_until(lambda: Wait.objects.due().exists())
    assert wake(10) == 1


def test_a_click_confirms_and_is_told(cast: Cast) -> None:
    job = begun(cast.player1)
    assert Confirmation.objects.get().draft == {"text": ""}
    said = confirm(user=cast.player1, request_id=job.public_id)
    assert (said.state, said.confirmed_by) == ("confirmed", cast.player1)
    assert ended(job).status == "completed"
    waits, confirmed = ("progress", "waits for a confirmation"), ("progress", "confirmed")
    assert messages(job, "check") == [("started", ""), waits, confirmed, ("completed", "accepted")]
    audited = AuditEntry.objects.filter(target_id=str(job.public_id)).order_by("id")
    assert list(audited.values_list("action", "actor_label")) == [
        ("workflow.started", "player1"),
        ("confirmation.asked", "system"),
        ("confirmation.confirmed", "player1"),
    ]


def test_what_is_asked_is_shown_and_confirmed_before_its_job_has_come_to_waiting(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object, **options: object) -> None:
        raise LeaseLost

    job = start("test_five", {}, user=cast.player1)
    with monkeypatch.context() as killed:
        killed.setattr(JobContext, "receive", dies)
        run_until_idle()
    job.refresh_from_db()
    shown = progress_of(job, cast.player1)
    assert job.status == "running"
    assert shown is not None
    assert shown.confirmation == Confirmation.objects.get()
    confirm(user=cast.player1, request_id=job.public_id)
    bury_worker()
    assert ended(job).status == "completed"


@pytest.mark.parametrize("text", ["done", " Fertig! ", "COMPLETE."])
def test_a_keyword_confirms(cast: Cast, text: str) -> None:
    job = begun(cast.player1)
    confirm(user=cast.player1, request_id=job.public_id, text=text)
    assert ended(job).status == "completed"


def test_other_words_do_not_confirm() -> None:
    assert not is_keyword("not done", ["done"])
    assert not is_keyword("undone", ["done"])
    assert is_keyword("Done", ["done"])


def test_after_so_many_other_texts_a_person_is_asked(cast: Cast) -> None:
    job = begun(cast.player1)
    for text in ("hm", "wait", "what is this?"):
        assert Confirmation.objects.get().is_open
        confirm(user=cast.player1, request_id=job.public_id, text=text)
    run_until_idle()
    approval = Approval.objects.get(job=job, status="pending")
    assert Confirmation.objects.get().state == "fell_back"
    with pytest.raises(Conflict) as refused:
        confirm(user=cast.player1, request_id=job.public_id)
    assert refused.value.code == "nothing_to_confirm"
    decide(user=cast.player1, approval_id=approval.pk, version=1, decision="modify", text="better", changes=[])
    assert ended(job).result == "better"


def test_when_time_is_up_a_person_is_asked_and_may_say_no(cast: Cast) -> None:
    job = start("test_late", {}, user=cast.player1)
    run_until_idle()
    late()
    run_until_idle()
    approval = Approval.objects.get(job=job)
    decide(user=cast.player1, approval_id=approval.pk, version=1, decision="reject", reason="no")
    assert decision_of(ended(job)) == "reject"
    assert ("progress", "nobody confirmed it in time") in messages(job, "check")


def test_when_time_is_up_the_workflow_goes_on_where_it_says_so(cast: Cast) -> None:
    job = start("test_go_on", {}, user=cast.player1)
    run_until_idle()
    late()
    assert decision_of(ended(job)) == "accept"


def test_when_time_is_up_the_workflow_is_called_off_where_it_says_so(cast: Cast) -> None:
    job = start("test_stop", {}, user=cast.player1)
    run_until_idle()
    late()
    assert ended(job).status == "cancelled"


def test_semi_automation_confirms_marked_steps_before_they_run(cast: Cast) -> None:
    job = begun(cast.player1, "test_marked")
    assert kinds.ran == ["first"]
    confirm(user=cast.player1, request_id=job.public_id, text="done")  # one word of its own, and this is another
    confirm(user=cast.player1, request_id=job.public_id, text="GO")
    assert ended(job).result == ["first", "second"]


def test_manual_automation_confirms_every_step(cast: Cast) -> None:
    job = begun(cast.player1, automation=Automation.MANUAL)
    for step in ("read", "fetch", "ask", "check", "write"):
        confirm(user=cast.player1, request_id=job.public_id, step=step, version=1)
        run_until_idle()
    assert ended(job).status == "completed"
    assert Confirmation.objects.count() == 5


def test_a_no_to_a_step_that_has_not_run_rejects_the_request(cast: Cast) -> None:
    job = begun(cast.player1, "test_marked")
    for _ in range(2):
        confirm(user=cast.player1, request_id=job.public_id, text="no")
    run_until_idle()
    decide(user=cast.player1, approval_id=Approval.objects.get().pk, version=1, decision="reject", reason="never")
    assert ended(job).request_status == "rejected"
    assert job.result == {"rejected": True, "reason": "never"}
    assert told(job)[-2:] == [("workflow.step.failed", "second", 50), ("request.rejected", None, None)]
    assert kinds.ran == ["first"]


def test_a_card_is_decided_by_those_who_decide_and_may_ask_for_another_draft(cast: Cast) -> None:
    job = begun(cast.dm, "test_card", scope=cast.game.scope_key)
    approval = Approval.objects.get()
    decide(user=cast.dm2, approval_id=approval.pk, version=1, decision="reject", reason="again", regenerate=True)
    run_until_idle()
    decide(user=cast.dm, approval_id=approval.pk, version=2, decision="accept")
    assert ended(job).result == "draft 2"
    assert [what for what, _ in messages(job, "check")] == ["started", "completed"]


def test_an_answer_is_for_the_one_that_was_shown(cast: Cast) -> None:
    job = begun(cast.player1, automation=Automation.MANUAL)
    confirm(user=cast.player1, request_id=job.public_id, step="read", version=1)
    run_until_idle()
    again = confirm(user=cast.player1, request_id=job.public_id, step="read", version=1)
    assert (again.step, again.state) == ("read", "confirmed")
    with pytest.raises(Conflict) as refused:
        confirm(user=cast.player1, request_id=job.public_id, step="check", version=1)
    assert refused.value.as_dict() | {"detail": ""} == {
        "code": "stale_confirmation",
        "detail": "",
        "step": "fetch",
        "version": 1,
    }
    assert Confirmation.objects.get(step="fetch").is_open


def test_the_same_key_is_one_answer(cast: Cast) -> None:
    job = begun(cast.player1, automation=Automation.MANUAL)
    for _ in range(2):
        said = confirm(user=cast.player1, request_id=job.public_id, text="done", idempotency_key="k1")
        assert said.step == "read"
        run_until_idle()
    assert Confirmation.objects.get(step="fetch").is_open


def test_of_many_who_confirm_at_once_one_does(cast: Cast) -> None:
    job = begun(cast.dm, "test_late_in_game", scope=cast.game.scope_key)
    click = partial(confirm, request_id=job.public_id, step="check", version=1)
    answers = at_once(*[partial(click, user=user) for user in (cast.dm, cast.dm2) * 16])
    assert {getattr(answer, "state", getattr(answer, "code", "")) for answer in answers} <= {
        "confirmed",
        "nothing_to_confirm",
    }
    assert ConfirmationText.objects.count() == 1
    assert ended(job).events.filter(event="job.resumed").count() == 1


def test_only_the_owner_and_those_who_decide_confirm(cast: Cast) -> None:
    job = begun(cast.player1)
    for user in (cast.player2, cast.stranger, cast.dm):
        with pytest.raises(NotFound):
            confirm(user=user, request_id=job.public_id)
    job = begun(cast.dm, "test_late_in_game", scope=cast.game.scope_key)
    with pytest.raises(Forbidden):
        confirm(user=cast.player1, request_id=job.public_id)
    confirm(user=cast.dm2, request_id=job.public_id)
    assert ended(job).status == "completed"


def test_nothing_is_confirmed_of_a_request_that_was_called_off(cast: Cast) -> None:
    job = begun(cast.player1)
    cancel(job.pk)
    with pytest.raises(Conflict):
        confirm(user=cast.player1, request_id=job.public_id)
    assert ended(job).status == "cancelled"


@pytest.mark.parametrize("text", ["", "   ", "x" * 5000, "a\0b"])
def test_a_text_that_is_none_is_refused(cast: Cast, text: str) -> None:
    job = begun(cast.player1)
    with pytest.raises(Invalid):
        confirm(user=cast.player1, request_id=job.public_id, text=text)


def test_an_owner_who_lost_the_right_stops_the_workflow_clearly(cast: Cast) -> None:
    job = begun(cast.dm, "test_late_in_game", scope=cast.game.scope_key)
    confirm(user=cast.dm2, request_id=job.public_id)
    Membership.objects.filter(user=cast.dm, game=cast.game).update(role=Role.PLAYER)
    run_until_idle()
    job.refresh_from_db()
    assert job.error == {"code": "forbidden", "detail": "dm may no longer do this here"}
    assert told(job)[-1][0] == "request.failed"


def test_a_scope_that_one_may_not_use_is_refused(cast: Cast) -> None:
    for user, error in ((cast.stranger, NotFound), (cast.player1, Forbidden)):
        with pytest.raises(error):
            start("test_card", {}, user=user, scope=cast.game.scope_key)
    for scope in ("", "user:1", "nothing:1"):
        with pytest.raises(Invalid):
            start("test_card", {}, user=cast.dm, scope=scope)
    with pytest.raises(Invalid) as refused:
        start("test_five", {"fail": 7}, user=cast.dm)
    assert "fail" in refused.value.extra["fields"]
    with pytest.raises(NotFound):
        start("test_part", {}, user=cast.dm)


def test_an_owner_who_lost_the_right_neither_sees_nor_confirms_what_is_asked(cast: Cast) -> None:
    job = begun(cast.dm, "test_late_in_game", scope=cast.game.scope_key)
    Membership.objects.filter(user=cast.dm, game=cast.game).update(role=Role.PLAYER)
    shown = progress_of(get_request(cast.dm, job.public_id), cast.dm)
    assert shown is not None
    assert shown.confirmation is None
    with pytest.raises(Forbidden):
        confirm(user=cast.dm, request_id=job.public_id)


def test_a_step_costs_few_statements(cast: Cast, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(20):
        job = start("test_five", {}, user=cast.player1, automation=Automation.FULL)
    with CaptureQueriesContext(connection) as run:
        run_until_idle()
    job.refresh_from_db()
    assert job.status == "completed"
    assert len(run) <= 170, f"{len(run)} statements for five steps and a child"
