"""One request's stream: ``GET /v1/events/requests/<id>``. See docs/protocol.md."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import Max, Min

from accounts.models import Scope
from accounts.sockets import Caller, Receive, Send
from jobs import queries
from jobs.errors import NotFound
from jobs.models_events import JobEvent
from jobs.registry import scope_rules
from jobs.streams.sse import View, serve


async def request_events(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """From the first event of the request's current run, or from a cursor, to its last."""
    await serve(scope, receive, send, partial(look_at_request, scope["url_route"]["kwargs"]["request_id"]))


def look_at_request(request_id: UUID, caller: Caller) -> View:
    """What this caller may see of the request; ``NotFound`` also for one that has no stream."""
    job = queries.get_request(caller.user, request_id)
    if job.scope is None:
        raise NotFound("this request belongs to no game and has no events: ask for it", code="no_stream")
    ends = JobEvent.objects.filter(job=job, run=job.run).aggregate(first=Min("seq"), last=Max("seq"))
    return View(
        scope_id=job.scope.pk,
        scope_key=job.scope.key,
        decides=Scope.DECIDE in caller.scopes and scope_rules(job.scope.key).may_decide(caller.user, job.scope.key),
        request=job.public_id,
        first=ends["first"] or 1,
        last=ends["last"] if job.ended else None,
    )
