"""``may`` asks the rule of the object's class, and says no without one."""

import pytest
from django.contrib.auth.models import AnonymousUser, User

from accounts import permissions

pytestmark = pytest.mark.fast


class Thing: ...


class Special(Thing): ...


@pytest.fixture(autouse=True)
def rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permissions, "_rules", {})
    permissions.register(Thing, lambda user, action, on: (user.username, action) == ("ada", "see"))


@pytest.mark.parametrize(
    ("user", "action", "on", "allowed"),
    [
        (User(username="ada"), "see", Thing(), True),
        (User(username="ada"), "see", Special(), True),
        (User(username="ada"), "burn", Thing(), False),
        (User(username="bob"), "see", Thing(), False),
        (User(username="ada", is_active=False), "see", Thing(), False),
        (AnonymousUser(), "see", Thing(), False),
        (User(username="ada", is_superuser=True), "see", object(), False),
        (User(username="ada"), "see", Thing, False),
    ],
)
def test_only_what_a_rule_allows_is_allowed(user: User, action: str, on: object, allowed: bool) -> None:
    assert permissions.may(user, action, on) is allowed
