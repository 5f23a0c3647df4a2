"""Games, who plays in them, and what has happened there. Facts and questions; the verbs are in ``games.operations``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Coalesce, Now
from uuid6 import uuid7

from jobs.models import Scope

if TYPE_CHECKING:
    from uuid import UUID

    from django.contrib.auth.models import AbstractBaseUser

LONGEST_SECONDS = 31_536_000
"""A year: the longest time that a game may give its decisions."""


class Role(models.TextChoices):
    """What a member is in a game."""

    PLAYER = "player"
    DM = "dm", "DM"


class Decisions(models.TextChoices):
    """Whether a person decides on every draft, or nobody is asked."""

    ASK = "ask", "a DM decides on every draft"
    NEVER = "never", "drafts are accepted as they are"


class DecisionDefault(models.TextChoices):
    """What is recorded as the system's when the time to decide is up."""

    REJECT = "reject"
    ACCEPT = "accept"


def scope_key(game_id: UUID) -> str:
    """The key of the stream in which a game's events are numbered, and of its players' lane."""
    return f"game:{game_id}"


def decision_seconds() -> float:
    """The time to decide in a game that does not say."""
    seconds: float = settings.CONFIG.decision_seconds
    return seconds


class GameQuerySet(models.QuerySet["Game"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> GameQuerySet:
        """The games this user is a member of. Being a superuser makes nobody a member."""
        return self.filter(pk__in=Membership.objects.of(user).values("game"))

    def decidable_by(self, user: AbstractBaseUser | AnonymousUser) -> GameQuerySet:
        """The games whose drafts this user decides on."""
        return self.filter(pk__in=Membership.objects.of(user).filter(role=Role.DM).values("game"))

    def with_cursor(self) -> GameQuerySet:
        """With ``cursor``: the number of the last event these rows know of, read in their own statement."""
        head = Scope.objects.filter(key=models.OuterRef("scope_key")).values("head")
        cursor = {"cursor": Coalesce(models.Subquery(head), 0)}
        return self.annotate(**cursor)


class Game(models.Model):
    """A story with its state. ``state_version`` counts the states, ``turn`` is the number of the last turn."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    scope_key = models.CharField(max_length=50, unique=True, editable=False)
    name = models.CharField(max_length=200)
    scenario = models.ForeignKey(
        "games.Scenario", null=True, blank=True, on_delete=models.PROTECT, related_name="games"
    )
    opening = models.TextField(help_text="The scene in which the story begins.")
    state = models.JSONField[dict[str, Any], dict[str, Any]](default=dict, blank=True)
    state_version = models.PositiveIntegerField(default=1, editable=False)
    turn = models.PositiveIntegerField(default=0, editable=False)
    decisions = models.CharField(max_length=10, choices=Decisions.choices, default=Decisions.ASK)
    decision_seconds = models.FloatField(
        default=decision_seconds,
        validators=[MinValueValidator(0.001), MaxValueValidator(LONGEST_SECONDS)],
        help_text="Time to decide, in seconds, before the default outcome is taken.",
    )
    decision_default = models.CharField(
        max_length=10, choices=DecisionDefault.choices, default=DecisionDefault.REJECT, help_text="The default outcome."
    )
    decision_default_reason = models.CharField(max_length=500, default="no decision in time")
    undo_seconds = models.FloatField(
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(LONGEST_SECONDS)],
        help_text="How long, in seconds, a decision can be taken back.",
    )
    created_at = models.DateTimeField(db_default=Now())

    cursor: int  # by ``with_cursor`` only
    seat: Membership | None = None  # by ``games.queries.get_seat`` only

    objects = GameQuerySet.as_manager()

    class Meta:
        ordering = ("name", "id")

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if not isinstance(self.state, dict):
            raise ValidationError({"state": "The state is an object: {…}."})

    def save(self, **kwargs: Any) -> None:
        """Keep the row. The scope's key is a column, so that it can be a subquery's text on every database."""
        self.scope_key = scope_key(self.pk)
        super().save(**kwargs)

    @property
    def dm_lane(self) -> str:
        """The lane of DMs' own actions, which are not held up by players'."""
        return f"{self.scope_key}:dm"

    def role_of(self, user: AbstractBaseUser | AnonymousUser) -> Role | None:
        """What this user is here; ``None`` for a stranger."""
        if self.seat is not None and self.seat.user_id == user.pk:
            return Role(self.seat.role)
        role = Membership.objects.of(user).filter(game=self).values_list("role", flat=True).first()
        return Role(role) if role else None

    def dm_online(self) -> bool:
        """Whether a DM's socket was open within ``presence_seconds``."""
        return self.memberships.filter(role=Role.DM).online().exists()


class MembershipQuerySet(models.QuerySet["Membership"]):
    def of(self, user: AbstractBaseUser | AnonymousUser) -> MembershipQuerySet:
        """The memberships of an active user."""
        return self.filter(user=user.pk) if user.is_active else self.none()

    def online(self) -> MembershipQuerySet:
        """Seen within ``presence_seconds``, by the database's clock."""
        age = models.Value(timedelta(seconds=settings.CONFIG.presence_seconds), output_field=models.DurationField())
        return self.filter(seen_at__gte=Now() - age, user__is_active=True)


class Membership(models.Model):
    """One user's part in one game. ``seen_at`` is written while a socket of theirs is open."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.PLAYER)
    seen_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("game", "user"), name="membership_once"),)

    def __str__(self) -> str:
        return f"{self.user} ({self.role}) in {self.game}"


class Chapter(models.Model):
    """A chapter of the game's chronicle, which tells some of its turns. Never rewritten."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="chapters")
    number = models.PositiveIntegerField()
    title = models.CharField(max_length=200)
    text = models.TextField()
    first_turn = models.PositiveIntegerField()
    last_turn = models.PositiveIntegerField()
    request = models.UUIDField(unique=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("number",)
        constraints = (models.UniqueConstraint(fields=("game", "number"), name="chapter_number_once"),)

    def __str__(self) -> str:
        return f"chapter {self.number} of {self.game}"


class Turn(models.Model):
    """What one request made happen: the action, what was told of it, and how it changed the state. Never rewritten."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="turns")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=100)
    actor = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    action = models.TextField(blank=True)
    narration = models.TextField(blank=True)
    changes = models.JSONField[list[Any], list[Any]](default=list)
    notes = models.JSONField[list[Any], list[Any]](
        default=list, db_default=[], help_text="What of the proposed changes was left out."
    )
    request = models.UUIDField(unique=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = (models.Index(fields=("game", "request"), name="turn_arrival"),)
        constraints = (models.UniqueConstraint(fields=("game", "number"), name="turn_number_once"),)

    def __str__(self) -> str:
        return f"turn {self.number} of {self.game}"


from games.models_story import Happened as Happened  # noqa: E402 - one room, one models module
from games.models_story import Scenario as Scenario  # noqa: E402
