"""What members do in a game: act, and be there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from accounts.permissions import may
from games.jobtypes import CHAT, DM_ACTION, PLAYER_ACTION, Chat, DmAction, PlayerAction
from games.models import Game, Membership, Role
from jobs.changes import UNCLEAN, Change, Changes
from jobs.errors import Forbidden, Invalid, NotFound
from jobs.operations.enqueue import enqueue

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

    from jobs.models import Job

KEY_CHARACTERS = 200
NO_GAME = "there is no such game"

_CHANGES: TypeAdapter[list[Change]] = TypeAdapter(Changes)


def act(
    *,
    user: User | AnonymousUser,
    game: Game,
    text: str,
    changes: Sequence[Any] | None = None,
    idempotency_key: str = "",
) -> Job:
    """Ask for what a member does; the request, whose place in its line is kept from now on.

    A player's words go to a storyteller and a decision, a DM's ``text`` is the narration itself and may bring
    ``changes`` (or be nothing but them). The same key from the same user gives the same request. Raises
    ``NotFound`` for strangers, ``Forbidden`` for a player's changes, ``Invalid`` with the path of every mistake,
    ``Conflict`` for a key that was used for something else.
    """
    if not may(user, "act", game):
        raise NotFound(NO_GAME)
    directs = may(user, "decide", game)
    if changes and not directs:
        raise Forbidden("players can't change the state: say what you do, and what follows is decided")
    words, wanted = _checked(text, changes, idempotency_key)
    if directs:
        return enqueue(
            DM_ACTION,
            DmAction(game_id=game.pk, text=words, changes=wanted),
            owner=user,
            scope=game.scope_key,
            ordering_key=game.dm_lane,
            idempotency_key=idempotency_key,
        )
    return enqueue(
        PLAYER_ACTION,
        PlayerAction(game_id=game.pk, text=words, player=user.get_username()),
        owner=user,
        scope=game.scope_key,
        ordering_key=game.scope_key,
        idempotency_key=idempotency_key,
    )


def chat(*, user: User | AnonymousUser, game: Game, text: str, idempotency_key: str = "") -> Job:
    """Say something; the request for the storyteller's answer, in one line with the game's actions and story events.

    Errors are those of ``act``.
    """
    if not may(user, "act", game):
        raise NotFound(NO_GAME)
    words, _ = _checked(text, None, idempotency_key)
    return enqueue(
        CHAT,
        Chat(game_id=game.pk, text=words, player=user.get_username()),
        owner=user,
        scope=game.scope_key,
        ordering_key=game.scope_key,
        idempotency_key=idempotency_key,
    )


def present(memberships: Collection[int]) -> int:
    """Note that these members are here, by the database's clock; how many that are.

    Whom another process notes at this moment is left out, so that two that note the same ones never wait in a circle.
    """
    free = Membership.objects.select_for_update(skip_locked=True).filter(pk__in=memberships).order_by("pk")
    with transaction.atomic():
        return Membership.objects.filter(pk__in=list(free.values_list("pk", flat=True))).update(seen_at=Now())


def decider_presence(user: User | AnonymousUser) -> int:
    """Note that a DM has the decision queue open, which is to be there for all their games; how many those are."""
    return Membership.objects.of(user).filter(role=Role.DM).update(seen_at=Now())


def _checked(text: str, changes: Sequence[Any] | None, key: str) -> tuple[str, list[Change]]:
    words, mistakes = text.replace("\r\n", "\n").replace("\r", "\n"), {}
    try:
        wanted = _CHANGES.validate_python(list(changes or ()))
    except ValidationError as error:
        wanted = []
        mistakes = {_path(wrong): wrong["msg"].removeprefix("Value error, ") for wrong in error.errors()}
    if reason := _wrong_text(words, wanted or mistakes):
        mistakes["text"] = reason
    if len(key) > KEY_CHARACTERS or not key.isprintable():
        mistakes["idempotency_key"] = f"at most {KEY_CHARACTERS} printable characters"
    if mistakes:
        raise Invalid("; ".join(f"{path}: {reason}" for path, reason in mistakes.items()), fields=mistakes)
    return words.strip(), wanted


def _path(mistake: ErrorDetails) -> str:
    return ".".join(map(str, ("changes", *mistake["loc"])))


def _wrong_text(words: str, has_changes: object) -> str:
    most = settings.CONFIG.action_characters
    if UNCLEAN.search(words):
        return "has control characters"
    if len(words.strip()) > most:
        return f"is longer than {most} characters"
    if not has_changes and not any(sign.isprintable() and not sign.isspace() for sign in words):
        return "is empty"
    return ""
