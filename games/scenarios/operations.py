"""What staff do with scenarios: keep another version of one, and begin games from it."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from accounts import audit
from games.models import Game, Scenario
from games.scenarios.reading import read_scenario
from jobs.errors import Conflict
from jobs.operations.operator import Operator

audit.register_action("scenario.loaded")
audit.register_action("game.begun")


def load(*, source: str, by: Operator) -> Scenario:
    """The scenario that this file describes, as its next version; the last one itself if that says the same.

    ``WrongScenario`` with every mistake; ``Conflict`` when somebody else loaded it at the same moment.
    """
    name = read_scenario(source).name
    newest = Scenario.objects.filter(name=name).order_by("-version").first()
    if newest is not None and newest.source == source:
        return newest
    version = newest.version + 1 if newest else 1
    try:
        with transaction.atomic():
            scenario = Scenario.objects.create(name=name, version=version, source=source)
            by.record("scenario.loaded", scenario, name=name, version=version)
    except IntegrityError:
        raise Conflict(f"version {version} of {name!r} is there already: look at it, then load yours again") from None
    return scenario


def begin(*, scenario: Scenario, name: str = "", by: Operator) -> Game:
    """A game that begins as the scenario says; members are added to it afterwards."""
    with transaction.atomic():
        document = scenario.document
        game = Game.objects.create(
            name=name or document.name, scenario=scenario, opening=document.opening, state=document.state
        )
        by.record("game.begun", game, scenario=str(scenario))
    return game
