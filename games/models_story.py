"""What stories are begun from, and which of their events have happened where."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from django.db import models
from django.db.models.functions import Now

if TYPE_CHECKING:
    from games.scenarios.document import Document


class Scenario(models.Model):
    """One version of a scenario, as its file says it. Never rewritten: a game goes on with the one it began with."""

    name = models.CharField(max_length=200, editable=False)
    version = models.PositiveIntegerField(editable=False)
    source = models.TextField(help_text="The file, in YAML or JSON.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("name", "-version")
        constraints = (models.UniqueConstraint(fields=("name", "version"), name="scenario_version_once"),)

    def __str__(self) -> str:
        return f"{self.name}, version {self.version}"

    @property
    def document(self) -> Document:
        """What the file says, read once in each process."""
        return _document(self.pk, self.source)


@lru_cache(maxsize=64)
def _document(pk: int, source: str) -> Document:
    from games.scenarios.reading import read_scenario

    return read_scenario(source)


class Happened(models.Model):
    """That an event of the scenario has come in this game: how often, in which turn last, told by which request."""

    game = models.ForeignKey("games.Game", on_delete=models.CASCADE, related_name="happened")
    event = models.CharField(max_length=100)
    times = models.PositiveIntegerField(default=1)
    last_turn = models.PositiveIntegerField()
    request = models.UUIDField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "happened"
        constraints = (models.UniqueConstraint(fields=("game", "event"), name="happened_once_a_row"),)

    def __str__(self) -> str:
        return f"{self.event} in {self.game}"
