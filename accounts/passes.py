"""One-time passes for streams. The raw pass is shown once, opens the one stream it was made for, and is gone."""

from __future__ import annotations

import re
import secrets
from datetime import timedelta

from django.conf import settings
from django.db.models import DurationField, Value
from django.db.models.functions import Now

from accounts.models import ApiToken, StreamPass
from accounts.sockets import Caller, by_session, by_token
from accounts.tokens import digest

SHAPE = re.compile(r"qpp_[A-Za-z0-9_-]{43}")


def issue(*, stream: str, token: ApiToken | None = None, session_key: str | None = None) -> str:
    """A pass for the stream at this path, good for ``pass_seconds``; on behalf of the token or else the session.

    Those that nobody used are removed here, when their time is over.
    """
    raw = f"qpp_{secrets.token_urlsafe(32)}"
    StreamPass.objects.filter(expires_at__lt=Now()).delete()
    StreamPass.objects.create(
        digest=digest(raw),
        stream=stream,
        token=token,
        session_key="" if token else session_key or "",
        expires_at=Now() + Value(timedelta(seconds=settings.CONFIG.pass_seconds), output_field=DurationField()),
    )
    return raw


def redeem(raw: str, *, stream: str) -> Caller | None:
    """Use the pass up: who opens the stream with it. ``None`` if it is not good, or not for this one."""
    if SHAPE.fullmatch(raw) is None:
        return None
    good = StreamPass.objects.filter(digest=digest(raw), stream=stream, expires_at__gte=Now())
    found = good.select_related("token__user").first()
    if found is None or not StreamPass.objects.filter(pk=found.pk).delete()[0]:
        return None
    if found.token is None:
        return by_session(found.session_key)
    caller = by_token(found.token)
    return caller if caller.holds() else None
