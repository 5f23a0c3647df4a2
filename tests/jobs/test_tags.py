"""Tags, and finding jobs: by tag, owner, scope and time, by id and by idempotency key."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from operator import itemgetter
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import tokens
from accounts.models import Scope
from jobs import listing, queue_settings
from jobs.errors import Invalid
from jobs.models import Job, JobTag
from jobs.operations import operating, upkeep
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.operations.operator import Operator
from jobs.registry import JobType
from jobs.testing import run_until_idle
from tests.jobs.kinds import ECHO, PARENT, TAGGED, Plan

pytestmark = pytest.mark.django_db(transaction=True)

MARKS = {"BEGIN", "BEGIN ", "COMMIT"}
"""How statements begin that only open or close a transaction."""


def tags_of(job: Job) -> list[str]:
    return sorted(job.tags.values_list("tag", flat=True))


def said(*command: Any) -> str:
    out = StringIO()
    call_command(*map(str, command), stdout=out, stderr=out)
    return out.getvalue()


@pytest.fixture
def admin() -> User:
    return User.objects.create_superuser("root")


def asked(admin: User, **query: str) -> Any:
    headers = {"Authorization": f"Bearer {tokens.issue(admin, 'test', Scope.values)[1]}"}
    return Client(headers=headers).get(f"/v1/ops/jobs?{urlencode(query)}").json()


def test_a_job_has_the_tags_it_was_given_and_those_of_its_type_each_once() -> None:
    assert tags_of(enqueue(ECHO, Plan(), tags=["vip", "eu/west", "vip"])) == ["eu/west", "vip"]
    assert tags_of(enqueue(TAGGED, Plan(), tags=["vip"])) == ["slow", "vip"]
    assert [tags_of(job) for job in enqueue_many(TAGGED, [Plan()] * 3, tags=["vip"])] == [["slow", "vip"]] * 3


def test_what_a_job_calls_has_the_tags_of_its_own_type() -> None:
    request = enqueue(TAGGED, Plan(do="call"), tags=["vip"])
    run_until_idle()
    assert tags_of(request) == ["slow", "vip"]
    assert tags_of(Job.objects.get(parent=request)) == ["slow"]


@pytest.mark.parametrize("wrong", [[""], ["a b"], ["x" * 51], ["ok", "new\nline"], [f"t{n}" for n in range(21)]])
def test_what_is_no_tag_is_refused_with_the_reason(wrong: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        enqueue(ECHO, Plan(), tags=wrong)
    assert "tags" in refused.value.extra["fields"]
    assert not Job.objects.exists()
    with pytest.raises(ValueError, match="'never': its tags"):
        JobType(name="never", queue="system", payload=Plan, result=Any, handler="x:y", tags=tuple(wrong))


def test_tags_cost_one_statement_and_none_cost_nothing() -> None:
    queue_settings.forget()  # those of an earlier test would have to be asked for anew in the midst of this one
    enqueue(ECHO, Plan())
    with CaptureQueriesContext(connection) as plain:
        enqueue(ECHO, Plan())
    with CaptureQueriesContext(connection) as tagged:
        enqueue(ECHO, Plan(), tags=["a", "b"])
    bare, more = ([sql for sql in map(itemgetter("sql"), of) if sql[:6] not in MARKS] for of in (plain, tagged))
    assert len(more) - len(bare) == 1
    assert not [query for query in plain if "jobtag" in query["sql"]]


def test_tags_go_with_their_job_and_stay_when_it_is_run_again() -> None:
    job = enqueue(ECHO, Plan(), tags=["vip"])
    run_until_idle()
    again = operating.run_again(job.pk, by=Operator(user=None, via="test"))
    assert tags_of(again) == ["vip"]
    upkeep.delete([job.pk])
    assert [tag.job_id for tag in JobTag.objects.all()] == [again.public_id]


def test_jobs_are_listed_by_tag_owner_scope_type_queue_and_time_page_by_page(admin: User) -> None:
    mine = [enqueue(ECHO, Plan(), owner=admin, scope="test:1", tags=["vip"]) for _ in range(5)]
    enqueue(ECHO, Plan(), scope="test:2")
    enqueue(PARENT, Plan(), tags=["vip"])
    newest_first = [str(job.public_id) for job in reversed(mine)]
    for by in ({"owner": "root"}, {"scope": "test:1"}, {"tag": "vip", "type": ECHO.name, "queue": "system"}):
        first = asked(admin, **by, limit="3")
        rest = asked(admin, **by, limit="3", before=first["next"])
        assert [row["id"] for row in first["items"] + rest["items"]] == newest_first
        assert rest["next"] is None
        assert {*map(tuple, (row["tags"] for row in first["items"]))} == {("vip",)}
    an_hour_ago = (timezone.now() - timedelta(hours=1)).isoformat()
    assert len(asked(admin, since=an_hour_ago)["items"]) == 7
    assert asked(admin, until=an_hour_ago)["items"] == []
    assert asked(admin, since="yesterday")["code"] == "invalid"
    assert asked(admin, tag="nowhere")["items"] == []


def test_a_listing_costs_as_many_statements_however_many_jobs_it_shows() -> None:
    enqueue_many(ECHO, [Plan()] * 30, tags=["a", "b"])
    with CaptureQueriesContext(connection) as queries:
        jobs, _ = listing.page(listing.wanted(tag="a"), before=None, limit=20)
        assert all(len(job.tags.all()) == 2 for job in jobs)
    assert len(queries) == 2


def test_an_id_finds_the_request_with_what_it_called_and_a_key_what_it_made(admin: User) -> None:
    request = enqueue(PARENT, Plan(text="a"), owner=admin, idempotency_key="key-1")
    run_until_idle()
    child = Job.objects.get(parent=request)
    enqueue(ECHO, Plan())
    found = [row["id"] for row in asked(admin, search=str(request.public_id))["items"]]
    assert found == [str(child.public_id), str(request.public_id)]
    assert [row["id"] for row in asked(admin, search=str(child.public_id))["items"]] == [str(child.public_id)]
    assert [row["id"] for row in asked(admin, search="key-1")["items"]] == [str(request.public_id)]
    assert asked(admin, search="nothing of the kind")["items"] == []


def test_the_admin_finds_them_too_and_offers_the_tags(admin: User) -> None:
    client = Client()
    client.force_login(admin)
    tagged = enqueue(ECHO, Plan(), owner=admin, tags=["vip", "a+b"], idempotency_key="key-1")
    other = enqueue(ECHO, Plan(text="some words"))

    def listed(**query: str) -> set[str]:
        page = client.get(f"/admin/jobs/job/?{urlencode(query)}").content.decode()
        return {str(job.public_id) for job in (tagged, other) if str(job.public_id) in page}

    both, first, second = {str(tagged.public_id), str(other.public_id)}, {str(tagged.public_id)}, {str(other.public_id)}
    assert listed() == both
    assert listed(tag="vip") == first
    assert listed(tag="a+b") == first
    assert listed(q="key-1") == first
    assert listed(q=str(other.public_id)) == second
    assert listed(q="some words") == second
    assert listed(queue="system") == listed(type=ECHO.name) == listed(tag="") == both
    for name in ("queue", "type", "tag"):
        for unknown in ("nothing", "\0"):
            assert listed(**{name: unknown}) == set()
    assert 'href="?tag=a%2Bb"' in client.get("/admin/jobs/job/").content.decode()


def test_the_terminal_adds_lists_and_finds_them(admin: User) -> None:
    new = said("jobs", "add", ECHO.name, "{}", "--tag", "vip").strip()
    enqueue(ECHO, Plan(), owner=admin)
    assert new in said("jobs", "list", "--tag", "vip")
    assert new not in said("jobs", "list", "--owner", "root")
    assert new in said("jobs", "list", "--since", "2020-01-01", "--search", new)
    assert new not in said("jobs", "list", "--until", "2020-01-01T10:00")
    assert "vip" in said("jobs", "show", new)
    more = said("jobs", "list", "--limit", "1")
    assert new in said("jobs", "list", "--before", more.split()[-1])
    with pytest.raises(CommandError, match="not a time"):
        said("jobs", "list", "--since", "soon")
    with pytest.raises(CommandError, match="not JSON"):
        said("jobs", "add", ECHO.name, "{")
    with pytest.raises(CommandError, match="there is no job type"):
        said("jobs", "add", "nothing", "{}")


def test_the_terminal_reads_a_jobs_log_and_follows_it_to_its_end() -> None:
    job = enqueue(TAGGED, Plan(text="half done"))
    run_until_idle()
    assert "1  half done" in said("jobs", "logs", job.public_id)
    assert "1  half done" in said("jobs", "logs", job.public_id, "--follow")
