"""Signatures of what is posted to others, as Standard Webhooks has them (https://www.standardwebhooks.com)."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode


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
