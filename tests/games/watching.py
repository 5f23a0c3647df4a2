"""Who watches a game, what they bear, and what there is to be told."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client as Browser

from accounts import tokens
from accounts.models import ApiToken, Scope
from games import operations
from games.models import Game
from jobs.events.ledger import ledger
from jobs.models import Job


def user(name: str) -> User:
    return User.objects.get(username=name)


def token_of(name: str, *scopes: str) -> tuple[ApiToken, str]:
    return tokens.issue(user(name), "test", scopes or Scope.values)


def bearer(name: str, *scopes: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token_of(name, *scopes)[1]}"}


def signed_in(name: str) -> Browser:
    browser = Browser()
    browser.force_login(user(name))
    return browser


def cookie_of(browser: Browser) -> dict[str, str]:
    return {"cookie": f"{settings.SESSION_COOKIE_NAME}={browser.cookies[settings.SESSION_COOKIE_NAME].value}"}


def act(game: Game, name: str = "player1", text: str = "I wave.") -> Job:
    return operations.act(user=user(name), game=game, text=text)


def tell(job: Job, *texts: str) -> None:
    with ledger() as book:
        for text in texts:
            book.tell(job, "game.state_updated", {"text": text})


def tell_deciders(job: Job, data: dict[str, Any] | None, private: dict[str, Any]) -> None:
    with ledger() as book:
        book.tell(job, "approval.required", data, private=private)
