"""API tokens from issue to revocation."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from accounts import tokens
from accounts.models import ApiToken, AuditEntry

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


@pytest.fixture
def user() -> User:
    return User.objects.create(username="ada")


def test_the_raw_token_authenticates_and_is_not_stored(user: User) -> None:
    token, raw = tokens.issue(user, "laptop", ["play", "read", "play"])
    assert raw.startswith(f"qp_{token.prefix}_")
    assert tokens.authenticate(raw) == token
    assert token.scopes == ["play", "read"]
    secret = raw.rsplit(token.prefix + "_")[1]
    assert secret not in str(ApiToken.objects.values().get())


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw + "x",
        lambda raw: raw[:-1] + ("A" if raw[-1] != "A" else "B"),
        lambda raw: raw[:-1],
        lambda raw: raw.replace("qp_", "qq_"),
        lambda raw: raw.rsplit("_", 1)[0] + "_",
        lambda raw: raw.replace("qp_", ""),
        lambda _: "",
        lambda _: "qp__",
        lambda _: "qp_\0_\0",
        lambda _: "qp_é_ü",
        lambda raw: "qp_" + "0" * 12 + raw[15:],
        lambda _: "qp_" + "x" * 100_000,
    ],
)
def test_anything_else_does_not_authenticate(user: User, change: object) -> None:
    _, raw = tokens.issue(user, "laptop", ["read"])
    assert callable(change)
    assert tokens.authenticate(change(raw)) is None


def test_a_revoked_token_ends_at_once_and_is_revoked_only_once(user: User) -> None:
    token, raw = tokens.issue(user, "laptop", ["read"])
    assert tokens.is_valid(token)
    assert tokens.revoke(token, by=user)
    assert not tokens.revoke(token, by=user)
    assert tokens.authenticate(raw) is None
    assert not tokens.is_valid(token)
    assert list(AuditEntry.objects.values_list("action", "actor_label", "target_id")) == [
        ("token.revoked", "ada", str(token.pk)),
        ("token.issued", "system", str(token.pk)),
    ]


def test_a_token_ends_when_it_expires(user: User) -> None:
    _, raw = tokens.issue(user, "laptop", ["read"], expires_at=timezone.now() + timedelta(minutes=1))
    assert tokens.authenticate(raw)
    ApiToken.objects.update(expires_at=timezone.now())
    assert tokens.authenticate(raw) is None


def test_a_locked_out_user_s_token_does_not_authenticate(user: User) -> None:
    _, raw = tokens.issue(user, "laptop", ["read"])
    User.objects.update(is_active=False)
    assert tokens.authenticate(raw) is None


def test_the_last_use_is_written_at_most_once_a_minute(user: User) -> None:
    _, raw = tokens.issue(user, "laptop", ["read"])
    tokens.authenticate(raw)
    first = ApiToken.objects.get().last_used_at
    assert first
    tokens.authenticate(raw)
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(seconds=61))
    tokens.authenticate(raw)
    last = ApiToken.objects.get().last_used_at
    assert last
    assert last > first


def test_an_unknown_scope_is_refused(user: User) -> None:
    with pytest.raises(ValueError, match="rule"):
        tokens.issue(user, "laptop", ["rule"])
    assert not ApiToken.objects.exists()
