"""Passes over HTTP, mounted at /v1/."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from ninja import Field, Router, Schema

from accounts import passes, tokens
from accounts.authentication import CAN_READ

router = Router(tags=["events"])

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


class PassIn(Schema, extra="forbid"):
    """Which stream it shall open."""

    stream: str = Field(
        pattern=f"^/v1/events/(games|requests|jobs)/{UUID}$",
        description="The stream's path.",
        examples=["/v1/events/games/0199c0de-0000-7000-8000-000000000000"],
    )


class PassOut(Schema):
    """Add it to the stream's address as ``?pass=``. It opens that stream once."""

    pass_: str = Field(serialization_alias="pass")
    expires_in: float = Field(description="Seconds.")


@router.post("/passes", response=PassOut, auth=CAN_READ, by_alias=True)
def post_pass(request: HttpRequest, wanted: PassIn) -> dict[str, Any]:
    """A pass for an EventSource, which can send no token. What it may see is asked when it is used."""
    header = request.headers.get("Authorization")
    raw = passes.issue(
        stream=wanted.stream,
        token=tokens.of_header(header) if header is not None else None,
        session_key=request.session.session_key,
    )
    return {"pass_": raw, "expires_in": settings.CONFIG.pass_seconds}
