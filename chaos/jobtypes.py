"""What is asked of the queue while it is under fire."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, JsonValue

from jobs.registry import JobType

Fate = Literal[
    "plain",
    "child",
    "gathering",
    "alone",
    "sleeping",
    "failing",
    "slow",
    "long",
    "hopeless",
    "called_off",
    "family_called_off",
]
FATES: dict[Fate, int] = {
    "plain": 46,
    "child": 14,
    "gathering": 5,
    "alone": 1,
    "sleeping": 6,
    "failing": 9,
    "slow": 8,
    "long": 2,
    "hopeless": 3,
    "called_off": 3,
    "family_called_off": 3,
}
"""How many in a hundred: done at once, with a child job, with several at once, with one in a process of its own, after
a sleep, failing once, over a network, longer than a lease, without hope, called off by the client, called off with
children that may be running."""


class Tale(BaseModel):
    """``number`` is the client's own count of what it asked for, ``seconds`` how long the network takes.

    ``key`` and ``queue``: under which concurrency key, and in which queue, it is asked for.
    """

    number: int
    fate: Fate
    seconds: float = 0.0
    key: str = ""
    queue: str = ""


def _type(name: str, queue: str, **options: Any) -> JobType:
    handler = f"chaos.handlers:{name}"
    return JobType(name=f"chaos_{name}", queue=queue, payload=Tale, result=JsonValue, handler=handler, **options)


TALE = _type("tale", "player_actions")
PART = _type("part", "llm", concurrency_key="tool/part")
ALONE = _type("alone", "llm", concurrency_key="tool/alone", isolate=True)
