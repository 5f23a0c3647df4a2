"""What bounds the queue: how many jobs of a key may be under way, and how fast and how many may be asked for."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now

from jobs.rates import BadRate, parse_rates


def are_rates(text: str) -> None:
    """Refuse what ``parse_rates`` does not understand, as a form's error."""
    try:
        parse_rates(text)
    except BadRate as error:
        raise ValidationError(str(error)) from None


class Limit(models.Model):
    """How many jobs of a concurrency key may be under way at once; its row's lock orders those who count.

    A key is a path: a limit on ``openai`` bounds ``openai`` and ``openai/gpt-5`` together. ``concurrency`` empty: as
    the environment says. ``enforced`` is the limit by which claims were last admitted, and since when: who holds a
    permit from before it was lowered keeps it.
    """

    key = models.CharField(max_length=200, unique=True, help_text="A concurrency key, or the beginning of its path.")
    concurrency = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="How many of its jobs at once."
    )
    enforced = models.PositiveIntegerField(null=True, editable=False)
    enforced_since = models.DateTimeField(null=True, editable=False)

    def __str__(self) -> str:
        return self.key


class Bucket(models.Model):
    """How much of a rate somebody has used up, and the lock under which their waiting jobs are counted.

    ``used_until`` is the time at which all that was asked for would have been served at the allowed rate.
    """

    key = models.CharField(max_length=250, unique=True)
    used_until = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.key
