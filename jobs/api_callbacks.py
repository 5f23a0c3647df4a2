"""Where other systems answer, mounted below /v1/."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Body, Router, Schema
from pydantic import JsonValue

from jobs.operations import callbacks

router = Router(tags=["callbacks"])


class Received(Schema):
    """The answer is stored."""

    received: bool = True


@router.post("/callbacks/{token}", response=Received, auth=None)
def post_callback(request: HttpRequest, token: str, answer: Body[JsonValue]) -> Received:
    """Answer what a job waits for: any JSON. The token says which job, and is all that is needed, unless the one who
    handed it out wants a signature too. The same answer may be sent again."""
    callbacks.deliver(token, answer, headers=request.headers, body=request.body)
    return Received()
