"""Who is signed in with which session, asked for many at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.crypto import constant_time_compare


def users_of(keys: Collection[str]) -> dict[str, User]:
    """The user of each of these sessions that is still good: one statement for them, and one for their users."""
    kept = Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    found = {key: SessionStore().decode(data) for key, data in kept.values_list("session_key", "session_data")}
    users = _active({str(session.get(SESSION_KEY, "")) for session in found.values()})
    signed_in = {key: users.get(str(session.get(SESSION_KEY))) for key, session in found.items()}
    return {key: user for key, user in signed_in.items() if user and _fits(found[key], user)}


def _active(ids: Collection[str]) -> dict[str, User]:
    numbers = [int(each) for each in ids if each.isdecimal()]
    return {str(user.pk): user for user in User.objects.filter(pk__in=numbers, is_active=True)}


def _fits(session: Mapping[str, Any], user: User) -> bool:
    """Whether the session was begun under the password that the user still has."""
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return any(constant_time_compare(session.get(HASH_SESSION_KEY, ""), each) for each in hashes)
