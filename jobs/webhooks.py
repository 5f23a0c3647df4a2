"""Signatures of what is posted to others, as Standard Webhooks has them (https://www.standardwebhooks.com)."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping

from django.conf import settings

_SECONDS = re.compile("[0-9]{1,12}")


def signed(secret: str, message_id: str, timestamp: int, body: str) -> dict[str, str]:
    """The headers by which a receiver who has the secret (``whsec_…``) knows who sent the body, and when (Unix time).

    The id is the same when a message is sent again.
    """
    key = b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{message_id}.{timestamp}.{body}".encode(), hashlib.sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{b64encode(digest).decode()}",
    }


def is_signed(headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a message is from someone who has ``callback_secret``, and new: the verifier ``signed`` of callbacks."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not _SECONDS.fullmatch(timestamp) or abs(time.time() - int(timestamp)) > settings.CONFIG.callback_age_seconds:
        return False
    try:
        expected = signed(settings.CONFIG.callback_secret, message_id, int(timestamp), body.decode())
    except ValueError:
        return False
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(one.encode(), expected["webhook-signature"].encode()) for one in given)
