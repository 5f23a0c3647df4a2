"""What each decision does, and why one is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import AuditEntry
from approvals.models import Approval
from approvals.operations import decide
from approvals.states import Status
from jobs.errors import Conflict, Forbidden, Invalid, NotFound
from jobs.failpoints import FailpointRaised, arm, disarm
from jobs.models import Job
from jobs.testing import run_until_idle
from tests.approvals.conftest import Cast
from tests.approvals.tables import approval_of, event, finished, history, result, told, unknown_id

pytestmark = pytest.mark.django_db(transaction=True)

Say = Callable[..., Job]


def test_a_draft_is_asked_about_with_its_text_for_deciders_only(say: Say, cast: Cast) -> None:
    job = say(draft="A dragon.", changes=[{"path": "gold", "op": "add", "value": 3}])
    approval = approval_of(job)
    required = event(job, "approval.required")
    assert required.data == {
        "approval_id": str(approval.pk),
        "version": 1,
        "due_at": approval.due_at.isoformat().replace("+00:00", "Z"),
    }
    assert required.private == {"draft": "A dragon.", "changes": [{"path": "gold", "op": "add", "value": 3}]}
    assert told(job)[-1] == ("approval.required", "awaiting_approval")
    assert job.request_status == "awaiting_approval"
    assert (approval.status, approval.requester, approval.action) == ("pending", cast.player, "I open the door")
    assert 590 < (approval.due_at - approval.created_at).total_seconds() <= 600


def test_an_accepted_draft_goes_on_as_it_was(approval: Approval, cast: Cast) -> None:
    decided = decide(user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
    assert (decided.status, decided.decision, decided.decided_by) == (Status.SETTLED, "accept", cast.dm)
    job = finished(approval)
    assert job.result == {"text": "The door creaks open.", "changes": ["door"], "by": "dm"}
    assert told(job) == [
        ("request.queued", "queued"),
        ("request.processing", "processing"),
        ("approval.required", "awaiting_approval"),
        ("approval.decided", "processing"),
        ("request.completed", "completed"),
    ]
    assert event(job, "approval.decided").data == {"decision": "accept"}
    assert history(approval) == [(1, "decide", "accept", "dm")]


def test_an_edit_is_kept_beside_its_draft_with_the_difference(approval: Approval, cast: Cast) -> None:
    decide(
        user=cast.dm,
        approval_id=approval.pk,
        version=1,
        decision="modify",
        text="The door creaks shut.",
        changes=[{"path": "door", "op": "set", "value": "barred"}],
    )
    job = finished(approval)
    assert result(approval)["text"] == "The door creaks shut."
    entry = approval.decisions.get()
    diff: Any = entry.diff
    assert approval.versions.get().draft.text == "The door creaks open."
    assert diff["text"] == [["=", "The door creaks"], ["-", " open"], ["+", " shut"], ["=", "."]]
    assert [change["value"] for change in diff["changes"]["in"]] == ["barred"]
    assert [change["value"] for change in diff["changes"]["out"]] == ["open"]
    private = event(job, "approval.decided").private
    assert private is not None
    assert (private["by"], private["diff"], private["approval_id"]) == ("dm", diff, str(approval.pk))


def test_an_edited_change_claims_what_the_draft_saw(approval: Approval, cast: Cast) -> None:
    changes: list[dict[str, Any]] = [
        {"path": "door", "op": "set", "value": "barred"},
        {"path": "new", "op": "set", "value": 1},
    ]
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="modify", text="x", changes=changes)
    kept = approval.decisions.get().changes
    assert kept == [{**changes[0], "was": "shut"}, changes[1]]


def test_an_edit_that_leaves_changes_out_keeps_the_drafts(approval: Approval, cast: Cast) -> None:
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="modify", text="Wider.")
    assert result(approval)["changes"] == ["door"]


def test_an_edit_with_no_changes_drops_the_drafts(approval: Approval, cast: Cast) -> None:
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="modify", text="Wider.", changes=[])
    assert result(approval)["changes"] == []


def test_who_takes_over_brings_text_and_changes(approval: Approval, cast: Cast) -> None:
    decide(user=cast.dm2, approval_id=approval.pk, version=1, decision="take_over", text=" My own words.\r\nTwo. ")
    assert result(approval) == {"text": "My own words.\nTwo.", "changes": [], "by": "dm2"}
    assert approval.decisions.get().diff is None


def test_a_rejection_closes_the_request_with_its_reason(approval: Approval, cast: Cast) -> None:
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="reject", reason="too easy")
    job = finished(approval)
    assert (job.outcome, result(approval)["reason"]) == ("rejected", "too easy")
    assert told(job)[-2:] == [("approval.decided", "processing"), ("request.rejected", "rejected")]


def test_another_draft_is_made_with_the_reason_and_versions_are_kept(approval: Approval, cast: Cast) -> None:
    drafting = decide(
        user=cast.dm, approval_id=approval.pk, version=1, decision="reject", reason="darker", regenerate=True
    )
    assert drafting.status == Status.DRAFTING
    job = finished(approval)
    approval.refresh_from_db()
    assert (approval.status, approval.version, approval.decision, approval.decided_by) == ("pending", 2, "", None)
    assert [version.draft.text for version in approval.versions.all()] == [
        "The door creaks open.",
        "The door creaks open. (darker)",
    ]
    assert told(job)[-2:] == [("approval.decided", "awaiting_approval"), ("approval.versioned", "awaiting_approval")]
    versioned = event(job, "approval.versioned").data
    assert versioned is not None
    assert (versioned["version"], versioned["reason"]) == (2, "regenerate")
    decide(user=cast.dm2, approval_id=approval.pk, version=2, decision="accept")
    assert result(approval)["text"] == "The door creaks open. (darker)"
    assert history(approval) == [(1, "decide", "reject", "dm"), (2, "decide", "accept", "dm2")]


def test_the_last_draft_can_not_be_drafted_again(approval: Approval, cast: Cast, config: Any) -> None:
    config(decision_drafts=2)
    for version in (1, 2):
        again: dict[str, Any] = {"version": version, "decision": "reject", "regenerate": True}
        if version == 2:
            with pytest.raises(Invalid) as refused:
                decide(user=cast.dm, approval_id=approval.pk, **again)
            assert refused.value.code == "no_more_drafts"
        else:
            decide(user=cast.dm, approval_id=approval.pk, **again)
            run_until_idle()
    approval.refresh_from_db()
    assert (approval.status, approval.version, approval.claimed_by) == ("pending", 2, None)
    assert history(approval) == [(1, "decide", "reject", "dm")]


def test_a_changed_state_brings_a_version_that_is_no_draft(say: Say, cast: Cast, config: Any) -> None:
    config(decision_drafts=2)
    job = say(state_changes=1)
    approval = approval_of(job)
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
    run_until_idle()
    versioned = event(job, "approval.versioned")
    assert versioned.data is not None
    assert (versioned.data["reason"], versioned.status) == ("state_changed", "awaiting_approval")
    decide(user=cast.dm, approval_id=approval.pk, version=2, decision="reject", regenerate=True)
    run_until_idle()
    approval.refresh_from_db()
    assert [v.reason for v in approval.versions.all()] == ["draft", "state_changed", "regenerate"]
    with pytest.raises(Invalid, match="2 drafts"):
        decide(user=cast.dm, approval_id=approval.pk, version=3, decision="reject", regenerate=True)


def test_the_request_fails_past_the_last_version(say: Say, cast: Cast, config: Any) -> None:
    config(decision_versions=2)
    job = say(state_changes=5)
    approval = approval_of(job)
    for version in (1, 2):
        decide(user=cast.dm, approval_id=approval.pk, version=version, decision="accept")
        run_until_idle()
    job.refresh_from_db()
    assert (job.status, (job.error or {}).get("code")) == ("dead", "too_many_versions")
    approval.refresh_from_db()
    assert (approval.status, approval.version) == ("settled", 2)


def test_at_the_last_version_no_draft_can_be_asked_for(approval: Approval, cast: Cast, config: Any) -> None:
    config(decision_versions=1)
    with pytest.raises(Invalid) as refused:
        decide(user=cast.dm, approval_id=approval.pk, version=1, decision="reject", regenerate=True)
    assert refused.value.code == "no_more_drafts"


def test_the_second_is_told_who_decided_what(approval: Approval, cast: Cast) -> None:
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="reject", reason="no")
    with pytest.raises(Conflict) as late:
        decide(user=cast.dm2, approval_id=approval.pk, version=1, decision="accept")
    assert late.value.as_dict() == {
        "code": "already_decided",
        "detail": "version 1 was rejected by dm",
        "by": "dm",
        "decision": "reject",
        "version": 1,
    }
    assert history(approval) == [(1, "decide", "reject", "dm")]


def test_an_old_version_can_not_be_decided(approval: Approval, cast: Cast) -> None:
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="reject", regenerate=True)
    run_until_idle()
    with pytest.raises(Conflict) as stale:
        decide(user=cast.dm2, approval_id=approval.pk, version=1, decision="accept")
    assert stale.value.code == "stale_version"
    assert stale.value.extra == {"by": "dm", "decision": "reject", "version": 2}


def test_a_version_that_never_was_can_not_be_decided(approval: Approval, cast: Cast) -> None:
    with pytest.raises(Conflict) as stale:
        decide(user=cast.dm, approval_id=approval.pk, version=7, decision="accept")
    assert (stale.value.code, stale.value.extra) == ("stale_version", {"by": None, "decision": None, "version": 1})


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"decision": "perhaps"}, "decision"),
        ({"decision": "modify"}, "text"),
        ({"decision": "modify", "text": " \n "}, "text"),
        ({"decision": "take_over"}, "text"),
        ({"decision": "take_over", "text": "x" * 20_001}, "text"),
        ({"decision": "take_over", "text": "a\x07b"}, "text"),
        ({"decision": "take_over", "text": "a\x00b"}, "text"),
        ({"decision": "take_over", "text": "a\ud800b"}, "text"),
        ({"decision": "accept", "text": "other words"}, "text"),
        ({"decision": "accept", "changes": [{"path": "a", "op": "set", "value": 1}]}, "changes"),
        ({"decision": "accept", "regenerate": True}, "regenerate"),
        ({"decision": "reject"}, "reason"),
        ({"decision": "reject", "reason": "\t"}, "reason"),
        ({"decision": "reject", "reason": "x" * 4001}, "reason"),
        ({"decision": "reject", "reason": "a\x1bb", "regenerate": True}, "reason"),
        ({"decision": "modify", "text": "x", "changes": [{"path": "a b", "op": "set", "value": 1}]}, "changes.0.path"),
        ({"decision": "modify", "text": "x", "changes": [{"path": "a", "op": "burn"}]}, "changes.0.op"),
        ({"decision": "modify", "text": "x", "changes": [{"path": "a", "op": "set"}]}, "changes.0"),
        ({"decision": "modify", "text": "x", "changes": [{"path": "a", "op": "remove", "why": 1}]}, "changes.0.why"),
        ({"decision": "modify", "text": "x", "changes": ["a"]}, "changes.0"),
    ],
)
def test_what_is_wrong_with_a_decision_is_named_and_nothing_happens(
    approval: Approval, cast: Cast, said: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as wrong:
        decide(user=cast.dm, approval_id=approval.pk, version=1, **said)
    assert list(wrong.value.extra["fields"]) == [field]
    approval.refresh_from_db()
    assert approval.status == Status.PENDING
    assert history(approval) == []


def test_a_decision_that_breaks_off_leaves_nothing_behind(approval: Approval, cast: Cast) -> None:
    def fail() -> None:
        raise FailpointRaised

    arm("in_decision", fail)
    try:
        with pytest.raises(FailpointRaised):
            decide(user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
    finally:
        disarm()
    approval.refresh_from_db()
    job = finished(approval)
    assert (approval.status, approval.claimed_by, job.status) == (Status.PENDING, None, "waiting")
    assert told(job)[-1] == ("approval.required", "awaiting_approval")
    assert (history(approval), AuditEntry.objects.count()) == ([], 0)
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
    assert result(approval)["by"] == "dm"


def test_only_those_who_decide_there_may(approval: Approval, cast: Cast) -> None:
    for user, refusal in ((cast.player, Forbidden), (cast.other_dm, NotFound), (cast.stranger, NotFound)):
        with pytest.raises(refusal):
            decide(user=user, approval_id=approval.pk, version=1, decision="accept")
    with pytest.raises(NotFound):
        decide(user=cast.dm, approval_id=unknown_id(), version=1, decision="accept")
    cast.dm.is_active = False
    with pytest.raises(NotFound):
        decide(user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
    approval.refresh_from_db()
    assert approval.status == Status.PENDING


def test_a_decision_is_audited(approval: Approval, cast: Cast) -> None:
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
    entry = AuditEntry.objects.get(action="approval.decided")
    assert (entry.actor_label, entry.target_id) == ("dm", str(approval.pk))
    assert entry.data == {"version": 1, "decision": "accept", "regenerate": False}
