"""API tokens: issue, authenticate, revoke. The raw token is shown once and never stored."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import audit
from accounts.models import PREFIX_CHARACTERS, ApiToken, Scope

MARK = "qp"
SHAPE = re.compile(rf"{MARK}_(?P<prefix>[0-9a-f]{{{PREFIX_CHARACTERS}}})_(?P<secret>[A-Za-z0-9_-]{{43}})")

audit.register_action("token.issued")
audit.register_action("token.revoked")


def issue(
    user: User,
    name: str,
    scopes: Iterable[str],
    *,
    expires_at: datetime | None = None,
    by: User | None = None,
) -> tuple[ApiToken, str]:
    """A new token and its raw text. ``by`` is who asked for it. ``ValueError`` for an unknown scope."""
    granted = sorted({Scope(scope).value for scope in scopes})
    prefix = secrets.token_hex(PREFIX_CHARACTERS // 2)
    secret = secrets.token_urlsafe(32)
    with transaction.atomic():
        token = ApiToken.objects.create(
            user=user,
            name=name,
            prefix=prefix,
            digest=digest(secret),
            scopes=granted,
            expires_at=expires_at,
        )
        audit.record("token.issued", actor=by, on=token, user=user.get_username(), scopes=granted)
    return token, f"{MARK}_{prefix}_{secret}"


def authenticate(raw: str) -> ApiToken | None:
    """The token, if it is one of ours, neither expired nor revoked, and its user is active."""
    shape = SHAPE.fullmatch(raw)
    if shape is None:
        return None
    try:
        token = ApiToken.objects.select_related("user").get(prefix=shape["prefix"])
    except ApiToken.DoesNotExist:
        return None
    if not token.usable or not secrets.compare_digest(token.digest, digest(shape["secret"])):
        return None
    _note_use(token)
    return token


def of_header(header: str) -> ApiToken | None:
    """The token of an ``Authorization`` header, if it holds a good one."""
    scheme, _, raw = header.partition(" ")
    return authenticate(raw.strip()) if scheme.lower() == "bearer" else None


def is_valid(token: ApiToken) -> bool:
    """Whether a token that authenticated earlier still would."""
    return _usable().filter(pk=token.pk).exists()


def valid_ids(ids: Iterable[UUID]) -> set[UUID]:
    """Those of these tokens that are still good, in one statement."""
    return set(_usable().filter(pk__in=set(ids)).values_list("pk", flat=True))


@transaction.atomic
def revoke(token: ApiToken, *, by: User | None = None) -> bool:
    """End the token at once; ``False`` if it had ended before."""
    revoked = ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())
    if revoked:
        audit.record("token.revoked", actor=by, on=token, user=token.user.get_username())
    return bool(revoked)


def _usable() -> QuerySet[ApiToken]:
    in_time = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return ApiToken.objects.filter(in_time, revoked_at=None, user__is_active=True)


def digest(secret: str) -> str:
    """A plain hash will do: the secret has 256 random bits, so it can't be guessed from it."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _note_use(token: ApiToken) -> None:
    now = timezone.now()
    noted = token.last_used_at
    if noted is None or now - noted >= timedelta(seconds=settings.CONFIG.token_seen_seconds):
        ApiToken.objects.filter(pk=token.pk, last_used_at=noted).update(last_used_at=now)
