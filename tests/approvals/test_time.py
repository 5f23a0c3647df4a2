"""Due times, undo windows, claims: what time does to an approval, and what can be taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db.models import F

from accounts.models import AuditEntry
from approvals.models import Approval
from approvals.operations import claim, decide, expire_due, expiring, release_claim, settle_due, undo
from approvals.operations.moves import locked_job
from approvals.port import expire_tick, settle_tick
from approvals.states import Status
from jobs.errors import Conflict, Forbidden, NotFound
from jobs.models import Job
from jobs.testing import run_until_idle
from tests.approvals.conftest import Cast
from tests.approvals.tables import Table, approval_of, event, finished, history, result, told

pytestmark = pytest.mark.django_db(transaction=True)

Say = Callable[..., Job]


def pass_time(approval: Approval, **delta: float) -> None:
    """As if everything about it had been written so much earlier."""
    times = ("due_at", "settles_at", "claimed_until", "decided_at")
    Approval.objects.filter(pk=approval.pk).update(**{name: F(name) - timedelta(**delta) for name in times})
    approval.refresh_from_db()


def test_nothing_expires_before_its_time(approval: Approval) -> None:
    assert expire_due(limit=10) == 0
    approval.refresh_from_db()
    assert approval.status == Status.PENDING


def test_the_default_is_recorded_as_the_systems_when_time_is_up(approval: Approval) -> None:
    pass_time(approval, seconds=601)
    assert expire_due(limit=10) == 1
    approval.refresh_from_db()
    assert (approval.status, approval.decision, approval.decided_by) == ("expired", "reject", None)
    job = finished(approval)
    assert result(approval)["reason"] == "no decision in time"
    assert told(job)[-2:] == [("approval.expired", "processing"), ("request.rejected", "rejected")]
    assert event(job, "approval.expired").data == {"decision": "reject"}
    assert history(approval) == [(1, "expire", "reject", "")]
    assert expire_due(limit=10) == 0


def test_what_got_more_time_just_now_does_not_expire(approval: Approval, monkeypatch: pytest.MonkeyPatch) -> None:
    def extended(found: Approval, **_: bool) -> Job | None:
        Approval.objects.update(due_at=F("due_at") + timedelta(hours=1))
        return locked_job(found)

    pass_time(approval, seconds=601)
    monkeypatch.setattr(expiring, "locked_job", extended)
    assert expire_due(limit=10) == 0
    assert history(approval) == []


def test_a_default_of_accept_takes_the_draft(say: Say, table: Table) -> None:
    table.wants(default="accept")
    approval = approval_of(say())
    pass_time(approval, seconds=601)
    expire_due(limit=10)
    assert result(approval) == {"text": "The door creaks open.", "changes": [], "by": ""}


def test_an_expired_default_that_meets_a_changed_state_asks_again(say: Say, table: Table) -> None:
    table.wants(default="accept")
    approval = approval_of(say(state_changes=1))
    pass_time(approval, seconds=601)
    expire_due(limit=10)
    run_until_idle()
    approval.refresh_from_db()
    assert (approval.status, approval.version, approval.decision) == ("pending", 2, "")


def test_who_decides_after_it_expired_is_told_so(approval: Approval, cast: Cast) -> None:
    pass_time(approval, seconds=601)
    expire_due(limit=10)
    with pytest.raises(Conflict) as late:
        decide(user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
    assert late.value.code == "already_decided"
    assert (late.value.extra["by"], late.value.extra["decision"]) == ("system", "reject")


def test_one_batch_is_bounded_and_says_that_there_is_more(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("approvals.port.BATCH", 2)
    for _ in range(3):
        pass_time(approval_of(say()), seconds=601)
    assert expire_tick() == 0
    assert expire_tick() == settings.CONFIG.tick_seconds
    assert Approval.objects.filter(status=Status.EXPIRED).count() == 3
    assert settle_tick() == settings.CONFIG.tick_seconds


def test_the_next_look_is_when_the_next_ones_time_is_over(
    say: Say, table: Table, cast: Cast, config: Callable[..., None]
) -> None:
    config(tick_seconds=900, leader_lease_seconds=1800)
    table.wants(undo_seconds=30)
    decided = approval_of(say())
    assert 590 < expire_tick() < 601
    decide(user=cast.dm, approval_id=decided.pk, version=1, decision="accept")
    assert (expire_tick(), 20 < settle_tick() < 31) == (900, True)


def test_a_decision_waits_for_its_undo_window(say: Say, table: Table, cast: Cast) -> None:
    table.wants(undo_seconds=30)
    approval = approval_of(job := say())
    decided = decide(user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
    assert decided.status == Status.DECIDED
    assert told(job)[-1] == ("approval.decided", "awaiting_approval")
    assert settle_due(limit=10) == 0
    assert finished(approval).status == "waiting"
    pass_time(approval, seconds=31)
    assert settle_due(limit=10) == 1
    assert settle_due(limit=10) == 0
    assert result(approval)["by"] == "dm"
    assert told(job)[-2:] == [("approval.decided", "awaiting_approval"), ("request.completed", "completed")]


def test_a_rejection_that_drafts_again_has_no_undo_window(say: Say, table: Table, cast: Cast) -> None:
    table.wants(undo_seconds=30)
    approval = approval_of(say())
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="reject", regenerate=True)
    run_until_idle()
    approval.refresh_from_db()
    assert (approval.status, approval.version) == ("pending", 2)


def test_a_decision_is_taken_back_and_another_holds(say: Say, table: Table, cast: Cast) -> None:
    table.wants(undo_seconds=30)
    approval = approval_of(job := say())
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
    undone = undo(user=cast.dm2, approval_id=approval.pk, version=1)
    assert (undone.status, undone.decision, undone.claimed_by, undone.due_at) == ("pending", "", None, approval.due_at)
    told_of = event(job, "approval.undone")
    assert (told_of.status, told_of.data["version"], told_of.private["by"]) == ("awaiting_approval", 1, "dm2")  # type: ignore[index]
    decide(user=cast.dm2, approval_id=approval.pk, version=1, decision="reject", reason="on second thoughts")
    pass_time(approval, seconds=31)
    settle_due(limit=10)
    assert result(approval)["reason"] == "on second thoughts"
    assert history(approval) == [
        (1, "decide", "accept", "dm"),
        (1, "undo", "accept", "dm2"),
        (1, "decide", "reject", "dm2"),
    ]
    assert AuditEntry.objects.filter(action="approval.undone", actor=cast.dm2).count() == 1


def test_who_takes_back_late_has_time_to_decide_anew(say: Say, table: Table, cast: Cast) -> None:
    table.wants(undo_seconds=30, due_seconds=5)
    approval = approval_of(say())
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
    pass_time(approval, seconds=10)
    undo(user=cast.dm, approval_id=approval.pk, version=1)
    assert expire_due(limit=10) == 0


def test_what_has_settled_or_is_not_decided_can_not_be_taken_back(say: Say, table: Table, cast: Cast) -> None:
    table.wants(undo_seconds=30)
    approval = approval_of(say())
    with pytest.raises(Conflict) as nothing:
        undo(user=cast.dm, approval_id=approval.pk, version=1)
    assert nothing.value.code == "not_decided"
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
    pass_time(approval, seconds=31)
    with pytest.raises(Conflict) as over:
        undo(user=cast.dm, approval_id=approval.pk, version=1)
    assert over.value.code == "already_decided"
    with pytest.raises(Forbidden):
        undo(user=cast.player, approval_id=approval.pk, version=1)


def test_a_claim_keeps_others_out_until_it_ends(approval: Approval, cast: Cast) -> None:
    assert claim(user=cast.dm, approval_id=approval.pk).claimed_by == cast.dm
    attempts: list[Callable[[], Approval]] = [
        lambda: decide(user=cast.dm2, approval_id=approval.pk, version=1, decision="accept"),
        lambda: claim(user=cast.dm2, approval_id=approval.pk),
    ]
    for attempt in attempts:
        with pytest.raises(Conflict) as held:
            attempt()
        assert (held.value.code, held.value.extra) == ("claimed", {"by": "dm", "decision": None, "version": 1})
    pass_time(approval, seconds=settings.CONFIG.claim_seconds + 1)
    decide(user=cast.dm2, approval_id=approval.pk, version=1, decision="accept")


def test_who_holds_the_claim_may_decide_and_renew(approval: Approval, cast: Cast) -> None:
    claim(user=cast.dm, approval_id=approval.pk)
    claim(user=cast.dm, approval_id=approval.pk)
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
    with pytest.raises(Conflict) as late:
        claim(user=cast.dm2, approval_id=approval.pk)
    assert late.value.code == "already_decided"


def test_a_claim_is_let_go_by_its_holder_only(approval: Approval, cast: Cast) -> None:
    claim(user=cast.dm, approval_id=approval.pk)
    assert not release_claim(user=cast.dm2, approval_id=approval.pk)
    assert release_claim(user=cast.dm, approval_id=approval.pk)
    assert not release_claim(user=cast.dm, approval_id=approval.pk)
    claim(user=cast.dm2, approval_id=approval.pk)
    actions = AuditEntry.objects.order_by("id").values_list("actor_label", "action")
    assert list(actions) == [("dm", "approval.claimed"), ("dm", "approval.released"), ("dm2", "approval.claimed")]
    with pytest.raises(NotFound):
        claim(user=cast.stranger, approval_id=approval.pk)


def test_a_new_version_is_nobodys(approval: Approval, cast: Cast) -> None:
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="reject", regenerate=True)
    run_until_idle()
    decide(user=cast.dm2, approval_id=approval.pk, version=2, decision="accept")


def test_nobody_is_asked_where_the_scope_says_so(say: Say, table: Table) -> None:
    table.wants(ask=False)
    job = say()
    approval = approval_of(job)
    assert job.result == {"text": "The door creaks open.", "changes": [], "by": ""}
    assert (approval.status, approval.decision, approval.decision_kind) == ("settled", "accept", "auto")
    assert history(approval) == [(1, "auto", "accept", "")]
    assert [name for name, _ in told(job)] == ["request.queued", "request.processing", "request.completed"]


def test_nobody_is_asked_any_more_once_the_scope_changed_its_mind(approval: Approval, table: Table, cast: Cast) -> None:
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="reject", regenerate=True)
    table.wants(ask=False)
    job = finished(approval)
    assert (job.status, job.awaiting_approval) == ("completed", False)
    approval.refresh_from_db()
    assert (approval.status, approval.version) == ("settled", 2)


@pytest.mark.parametrize("undo_seconds", [0, 30])
def test_what_is_open_is_withdrawn_when_its_job_ends(
    say: Say, table: Table, cast: Cast, undo_seconds: float, config: Any
) -> None:
    from jobs.events.ledger import ledger
    from jobs.operations.transitions import Move, apply, lock

    table.wants(undo_seconds=undo_seconds)
    approval = approval_of(job := say())
    if undo_seconds:
        decide(user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
    with ledger() as book:
        apply(book, [Move(lock([job.pk])[job.pk], "cancelled", "job.cancelled")])  # type: ignore[arg-type]
    approval.refresh_from_db()
    assert approval.status == Status.WITHDRAWN
    assert told(job)[-2:] == [("approval.withdrawn", "cancelled"), ("request.cancelled", "cancelled")]
    with pytest.raises(Conflict) as late:
        decide(user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
    assert late.value.code == "already_decided"
    pass_time(approval, seconds=700)
    assert (expire_due(limit=10), settle_due(limit=10)) == (0, 0)


@pytest.mark.parametrize("settling", [False, True])
def test_an_approval_with_which_nothing_can_be_done_does_not_hold_up_the_rest(
    say: Say, table: Table, cast: Cast, caplog: pytest.LogCaptureFixture, settling: bool
) -> None:
    table.wants(default="accept", undo_seconds=30)
    approvals = [approval_of(say()) for _ in range(3)]
    if settling:
        for approval in approvals:
            decide(user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
    for approval in approvals:
        pass_time(approval, seconds=601)
    Approval.objects.filter(pk=approvals[1].pk).update(version=7)
    assert (settle_due if settling else expire_due)(limit=10) == 2
    after, before = ("settled", "decided") if settling else ("expired", "pending")
    assert [Approval.objects.get(pk=each.pk).status for each in approvals] == [after, before, after]
    assert "until the next look" in caplog.text
