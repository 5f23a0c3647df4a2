"""Operators act on all requests that match, over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal, cast

from django.http import HttpRequest
from ninja import Field, Schema
from pydantic import AwareDatetime, StringConstraints

from accounts.authentication import CAN_OPERATE
from jobs import listing, states
from jobs.api_dead_letters import BulkOut
from jobs.api_operator import operator, router
from jobs.errors import Invalid
from jobs.models import Job
from jobs.operations import bulk

Word = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]


class Which(Schema, extra="forbid"):
    """As listings take it."""

    status: states.Status | None = None
    queue: Word = ""
    type: Word = ""
    fingerprint: Word = ""
    tag: Word = ""
    owner: Word = ""
    scope: Word = ""
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class MatchingIn(Schema, extra="forbid"):
    """What to do, to the oldest `limit` requests of which all of `which` is true."""

    verb: Literal["cancel", "revive", "promote", "remove"]
    which: Which
    limit: int = Field(100, ge=1, le=1000)


@router.post("/ops/jobs/matching", response=BulkOut, auth=CAN_OPERATE)
def act_on_matching(request: HttpRequest, body: MatchingIn) -> dict[str, Any]:
    """Do one thing to all requests that match, each for itself; not to all there are: `which` has to say something."""
    by = operator(request, body.verb, Job())
    asked = {name: value for name, value in body.which.dict().items() if value}
    if not asked:
        raise Invalid("say which jobs", fields={"which": "at least one of its fields"})
    found = listing.wanted(**cast(listing.Wanted, asked))
    return asdict(bulk.matching(body.verb, found, limit=body.limit, by=by))
