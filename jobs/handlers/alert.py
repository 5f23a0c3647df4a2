"""Tells the outside of an incident: by webhook or by e-mail."""

from __future__ import annotations

import asyncio
import json
import time

import httpx
from django.conf import settings
from django.core.mail import EmailMessage

from jobs.alerts import ways
from jobs.context import JobContext
from jobs.errors import HandlerError, PermanentError, RetryLater
from jobs.jobtypes import AlertMessage
from jobs.webhooks import signed

REFUSALS = frozenset({400, 401, 403, 404, 405, 410, 413, 422})
"""Answers that another attempt would get again."""


def run(ctx: JobContext, message: AlertMessage) -> dict[str, bool]:
    """What was told, once, however often the job is tried; nothing by a way that is configured no more."""
    tell = {"webhook": post, "email": mail}[message.way]
    return {message.way: ctx.io(message.way, tell, message)} if message.way in ways() else {}


async def post(message: AlertMessage, *, idempotency_key: str) -> bool:
    """Post the incident, signed; the receiver knows a repeated one by its ``webhook-id``."""
    config = settings.CONFIG
    data = message.model_dump(exclude={"way"})
    body = json.dumps({"type": f"alert.{message.alert}", "timestamp": message.opened_at, "data": data})
    headers = signed(config.alert_webhook_secret, idempotency_key, int(time.time()), body)
    try:
        async with httpx.AsyncClient(timeout=config.alert_timeout_seconds) as client:
            answer = await client.post(
                config.alert_webhook_url, content=body, headers={"content-type": "application/json", **headers}
            )
    except httpx.HTTPError as error:
        raise HandlerError("webhook_unreachable", f"the webhook can't be reached: {type(error).__name__}") from error
    _check(answer)
    return True


def _check(answer: httpx.Response) -> None:
    detail = f"the webhook answered {answer.status_code}"
    if answer.status_code in REFUSALS:
        raise PermanentError("webhook_refused", detail)
    asked = answer.headers.get("retry-after", "")
    if not answer.is_success and asked.isdecimal():
        raise RetryLater(min(float(asked), settings.CONFIG.backoff_cap_seconds), "webhook_failed", detail)
    if not answer.is_success:
        raise HandlerError("webhook_failed", detail)


async def mail(message: AlertMessage, *, idempotency_key: str) -> bool:
    """Send it to all who are to know."""
    subject = f"[queueproject] {message.alert} {message.subject}".strip()
    email = EmailMessage(
        subject, f"{message.detail}\n\nSince {message.opened_at}.\n", to=list(settings.CONFIG.alert_emails)
    )
    await asyncio.to_thread(email.send)
    return True
