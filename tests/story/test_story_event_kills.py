"""A turn that sets events off, with a worker killed around its transaction: they are set off once, or not yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from games.models import Decisions, Game, Happened, Scenario
from games.operations import act
from jobs.models import Job
from queueproject.testing.processes import Stack
from queueproject.testing.requests import queue_empty, wait_for_completion
from queueproject.testing.waiting import wait_until
from tests.cast import Cast
from tests.proof import share

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True)]

WELL = (Path(__file__).parents[1] / "games" / "scenario.yaml").read_text()
QUICK = {"LEASE_SECONDS": "0.8", "HEARTBEAT_SECONDS": "0.2", "TICK_SECONDS": "0.05"}


AROUND = ["before_commit:apply.1", "in_enqueue", "in_commit:apply.1", "after_commit:apply.1", "after_settle"]


@pytest.mark.parametrize("where", share(AROUND, of=2))
def test_events_are_set_off_once_wherever_the_worker_is_killed(stack: Stack, cast: Cast, where: str) -> None:
    scenario = Scenario.objects.create(name="The Well", version=1, source=WELL)
    Game.objects.update(scenario=scenario, decisions=Decisions.NEVER, state=scenario.document.state)
    job = act(user=cast.player1, game=cast.game, text="I open the cellar door")
    stack.start("scheduler", **QUICK)
    stack.start("worker", FAILPOINTS=f"{where}=exit")
    assert stack.wait("worker") == 9
    stack.start("worker", FAILPOINTS="")
    wait_for_completion(job.public_id, 60)
    wait_until(lambda: queue_empty("player_actions"), 60)
    assert list(cast.game.turns.order_by("number").values_list("kind", flat=True)) == ["player_action", "story_event"]
    assert [told.payload["events"] for told in Job.objects.filter(type="story_event")] == [["draught", "bell"]]
    assert set(Happened.objects.values_list("event", "times", "last_turn")) == {("draught", 1, 1), ("bell", 1, 1)}
