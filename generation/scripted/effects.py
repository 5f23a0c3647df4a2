"""What a deed changes: at most two small changes of the state that it is given, and the clock."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

from pydantic import JsonValue

from generation.scripted.deeds import Deed
from jobs.changes import KEY, MAX_DEPTH, MAX_PATH_CHARACTERS, State

MONEY = {"gold", "coins", "silver", "money", "credits"}
BAGS = {"inventory", "items", "pack", "bag", "equipment"}
HEALTH = {"health", "hp", "hit_points", "stamina"}
ALARM = {"alarm", "alert", "danger", "threat", "suspicion", "tension"}
CLOCK = {"clock", "turns", "hours", "hour", "time"}
RESULTS = {"open": "open", "close": "closed", "light": "lit", "break": "broken"}
ITEM_CHARACTERS = 40
MAX_EFFECTS = 2


class Effect(NamedTuple):
    """One change, and the sentence that shows it, which may be empty."""

    change: dict[str, JsonValue]
    sentence: str


class Leaf(NamedTuple):
    """A value of the state that is no object, and the dotted path to it."""

    path: str
    value: Any

    @property
    def key(self) -> str:
        return self.path.rpartition(".")[2].casefold()


Rule = Callable[[Deed, list[Leaf], Random], Effect | None]


def effects(deed: Deed, state: State, actor: str, unwanted: frozenset[str], rng: Random) -> list[Effect]:
    """The deed's effects. Paths with an ``unwanted`` word are left alone, the actor's own come first.

    Time moves on in any case: a clock of the state, or a count of turns that is begun.
    """
    leaves = [leaf for leaf in _leaves(state) if not unwanted & _words(leaf.path)]
    leaves.sort(key=lambda leaf: actor.casefold() not in leaf.path.casefold().split("."))
    found = [effect for rule in RULES.get(deed.theme, (_set_result,)) if (effect := rule(deed, leaves, rng))]
    return [*found[:MAX_EFFECTS], *_clock(state)]


def _leaves(state: State, *keys: str) -> Iterator[Leaf]:
    """The leaves that a change's path can name."""
    for key, value in state.items():
        path = ".".join((*keys, key))
        if not KEY.fullmatch(key) or len(keys) >= MAX_DEPTH or len(path) > MAX_PATH_CHARACTERS:
            continue
        if isinstance(value, dict):
            yield from _leaves(value, *keys, key)
        else:
            yield Leaf(path, value)


def _words(path: str) -> frozenset[str]:
    return frozenset(re.split(r"[._-]", path.casefold()))


def _number(leaves: list[Leaf], keys: set[str]) -> Leaf | None:
    return next((leaf for leaf in leaves if leaf.key in keys and type(leaf.value) in (int, float)), None)


def _bag(leaves: list[Leaf]) -> Leaf | None:
    return next((leaf for leaf in leaves if leaf.key in BAGS and isinstance(leaf.value, list)), None)


def _add(leaf: Leaf, value: JsonValue, sentence: str) -> Effect:
    return Effect({"path": leaf.path, "op": "add", "value": value}, sentence)


def _set_result(deed: Deed, leaves: list[Leaf], rng: Random) -> Effect | None:
    """A door that is tried becomes open: what the deed names and the state knows as a word or a yes or no."""
    result = RESULTS.get(deed.theme)
    named = (leaf for leaf in leaves if _words(leaf.key) <= deed.words and isinstance(leaf.value, str | bool))
    leaf = next(named, None)
    if leaf is None or result is None:
        return None
    value: JsonValue = deed.theme != "close" if isinstance(leaf.value, bool) else result
    if value == leaf.value:
        return None
    label = _label(leaf.path, deed)
    return Effect({"path": leaf.path, "op": "set", "value": value}, f"The {label} is {result} now.")


def _label(path: str, deed: Deed) -> str:
    *groups, key = path.replace("_", " ").split(".")
    kind = groups[-1].removesuffix("s") if groups else ""
    return f"{key} {kind}" if kind and kind in deed.words and kind not in key else key


def _find_money(deed: Deed, leaves: list[Leaf], rng: Random) -> Effect | None:
    purse = _number(leaves, MONEY)
    asked_for = bool(deed.words & (MONEY | {"treasure", "coin", "purse"}))
    if purse is None or not (asked_for or (deed.theme == "search" and rng.random() < 0.6)):
        return None
    found = rng.randint(2, 9)
    return _add(purse, found, rng.choice(FINDS).format(count=found, money=purse.key))


FINDS = [
    "Under the dust lies more than dust: {count} {money}.",
    "Something glints in a crack, and {count} {money} come to light.",
    "A loose stone gives way, and behind it wait {count} {money}.",
]


def _pay(deed: Deed, leaves: list[Leaf], rng: Random) -> Effect | None:
    purse = _number(leaves, MONEY)
    if purse is None or purse.value < 1 or not deed.words & (MONEY | {"pay", "buy", "bribe", "coin"}):
        return None
    price = min(int(purse.value), rng.randint(1, 5))
    return _add(purse, -price, f"The purse grows lighter by {price} {purse.key}.")


def _pack(deed: Deed, leaves: list[Leaf], rng: Random) -> Effect | None:
    bag = _bag(leaves)
    item = deed.object.casefold()
    if bag is None or not item or len(item) > ITEM_CHARACTERS or item in bag.value or MONEY & set(item.split()):
        return None
    return _add(bag, item, f"The {item} goes into the pack.")


def _hand_over(deed: Deed, leaves: list[Leaf], rng: Random) -> Effect | None:
    bag = _bag(leaves)
    carried = [item for item in bag.value if isinstance(item, str)] if bag else []
    item = next((item for item in carried if item and _words(item.replace(" ", "_")) <= deed.words), None)
    if bag is None or item is None:
        return None
    return Effect({"path": bag.path, "op": "remove", "value": item}, f"The {item} leaves the pack for good.")


def _wound(deed: Deed, leaves: list[Leaf], rng: Random) -> Effect | None:
    health = _number(leaves, HEALTH)
    if health is None or health.value <= 3:
        return None
    return _add(health, -rng.randint(1, 3), "The blow that comes back leaves its mark.")


def _recover(deed: Deed, leaves: list[Leaf], rng: Random) -> Effect | None:
    health = _number(leaves, HEALTH)
    return _add(health, rng.randint(1, 2), "Slowly, strength returns.") if health else None


def _alarm(deed: Deed, leaves: list[Leaf], rng: Random) -> Effect | None:
    alarm = _number(leaves, ALARM)
    if alarm is None or (deed.theme == "sneak" and alarm.value < 1):
        return None
    quieter = deed.theme == "sneak"
    return _add(alarm, -1 if quieter else 1, "" if quieter else "That noise will not have gone unheard.")


def _clock(state: State) -> list[Effect]:
    clock = _number(list(_leaves(state)), CLOCK)
    if clock:
        return [_add(clock, 1, "")]
    return [] if "turns" in state else [Effect({"path": "turns", "op": "set", "value": 1}, "")]


RULES: dict[str, tuple[Rule, ...]] = {
    "search": (_find_money,),
    "take": (_find_money, _pack),
    "give": (_pay, _hand_over),
    "use": (_set_result, _hand_over),
    "fight": (_wound, _alarm),
    "break": (_set_result, _alarm),
    "rest": (_recover,),
    "sneak": (_alarm,),
}
