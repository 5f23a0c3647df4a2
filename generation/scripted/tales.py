"""Telling a deed: two to four sentences in the third person, and the changes that go with them."""

from __future__ import annotations

import json
import re
from random import Random
from typing import NamedTuple

from pydantic import JsonValue

from generation.prompts import Prompt
from generation.scripted.deeds import SENTENCE, Deed, read_deed, shorten
from generation.scripted.effects import effects

ATTEMPTS = [
    "{actor} sets out to {phrase}.",
    "Without a word, {actor} moves to {phrase}.",
    "{actor} takes a slow breath and makes ready to {phrase}.",
    "While the others hold back, {actor} tries to {phrase}.",
]
SAYINGS = [
    "“{phrase}” The words of {actor} hang in the air of the {place}.",
    "{actor} steps forward: “{phrase}”",
    "All eyes turn to {actor}. “{phrase}”",
]
OUTCOMES = {
    "open": [
        "Rust cracks, something gives, and a draught of cold air follows.",
        "It resists for a moment, then swings wide with a groan.",
        "A click, a pause, and the way is free.",
    ],
    "close": [
        "It falls shut with a weight that settles the matter.",
        "Wood meets stone, and the sounds beyond go dull.",
        "The last gap of light narrows and is gone.",
    ],
    "search": [
        "Dust rises, shadows shift, and little by little the {place} gives up its secrets.",
        "At first there is nothing, then a mark that should not be there.",
        "Patience is rewarded: the {place} is not as empty as it seemed.",
    ],
    "take": [
        "It comes away more easily than anyone expected.",
        "A quick hand is all it needs, and nobody objects.",
        "For a moment it sticks, then it is free.",
    ],
    "fight": [
        "Steel rings, boots scrape, and for three heartbeats nothing is certain.",
        "The first blow lands, the second is answered in kind.",
        "The {place} fills with noise as the clash begins.",
    ],
    "talk": [
        "The answer comes late, and it says less than the silence before it.",
        "A nod, a narrowed eye: the words have reached their mark.",
        "What comes back is guarded, but it is not a no.",
    ],
    "sneak": [
        "Not a board creaks, not a pebble rolls.",
        "The shadows of the {place} close over the movement.",
        "A head turns, lingers, and turns away again.",
    ],
    "rest": [
        "The fire of the moment burns down, and breath comes easier.",
        "For once, the {place} asks for nothing.",
        "Time passes, kindly for a change.",
    ],
    "move": [
        "The path is narrower than it looked, but it holds.",
        "Step by step the {place} shows another face.",
        "Behind, the known falls away; ahead, something waits.",
    ],
    "magic": [
        "The air tastes of iron, and every flame leans the same way.",
        "A word too old for the {place} is spoken, and it is heard.",
        "Light gathers where no light should be.",
    ],
    "give": [
        "The offer is weighed, turned over, and accepted.",
        "A hand closes, a head inclines, and a debt changes its owner.",
        "There is a pause in which everything could still go wrong, and then a smile.",
    ],
    "light": [
        "A spark takes, and the dark draws back to the corners of the {place}.",
        "Flame climbs, and with it the long shadows of everyone present.",
        "Warm light spreads and shows more than was wished for.",
    ],
    "break": [
        "It holds once, twice, and then it holds no more.",
        "Splinters fly, and the echo runs all through the {place}.",
        "What took someone days to make takes a moment to end.",
    ],
    "use": [
        "It works, if not quite in the way that was planned.",
        "Something moves that had not moved in years.",
        "The {place} answers with a small, exact sound.",
    ],
    "": [
        "For a moment nobody in the {place} knows what to make of it.",
        "It is enough to change the mood of the {place}.",
        "Nothing breaks, nothing falls, and still something is different.",
    ],
}
CLOSINGS = [
    "Somewhere in the {place}, something answers with a low creak.",
    "The {place} grows quiet again, though not quite as before.",
    "Whoever watches from the dark has seen it too.",
    "What this will cost, nobody can say yet.",
]
GRIM = [
    "The cold that follows smells of old graves.",
    "Far off something begins to weep, and does not stop.",
    "The dark of the {place} leans closer, as if it had been waiting.",
]
HEEDED = [
    "This time the tale heeds the word: “{feedback}”.",
    "The scene is told anew, minding this: “{feedback}”.",
]
PLACE = re.compile(
    r"\b(?:cellar|tavern|inn|hall|forest|bridge|tower|cave|crypt|ship|deck|harbour|market|street|temple|castle"
    r"|courtyard|library|kitchen|garden|road|camp|tunnel|station|corridor|laboratory|room|village|swamp|ruins"
    r"|gate|chamber)\b",
    re.IGNORECASE,
)
UNWANTED = re.compile(r"\b(?:no|not|without|less|fewer|skip|drop)\s+(?:(?:more|any|the|so|much|many)\s+)*(\w+)")
DARKER = re.compile(r"\b(?:dark|darker|grim|grimmer|horror|scary)\b")


TITLES = ["What the {place} kept", "A night in the {place}", "The {place}, and after", "Steps in the {place}"]
MOST_PARTS = 8
"""Of the scene, in a chapter."""
MOST_SENTENCES = 4
"""Of one event's description."""


class Tale(NamedTuple):
    """A narration and its changes, as a model would have written them."""

    text: str
    changes: list[dict[str, JsonValue]]


def tell(prompt: Prompt, seed: int) -> Tale:
    """The tale of this prompt: always the same for the same seed."""
    rng = Random(f"{seed} {canonical(prompt)}")
    if prompt.kind == "story_event":
        return _happen(prompt, rng)
    if not prompt.tells_a_turn:
        return _chronicle(prompt, rng)
    deed = read_deed(prompt.action)
    feedback = (prompt.feedback or "").casefold()
    unwanted = frozenset(UNWANTED.findall(feedback))
    found = [] if unwanted & {"change", "changes"} else effects(deed, prompt.state, prompt.actor, unwanted, rng)
    shown = next((effect.sentence for effect in found if effect.sentence), "")
    theme = "talk" if prompt.kind == "chat" else deed.theme
    outcomes = GRIM if DARKER.search(feedback) else OUTCOMES[theme]
    endings = HEEDED if prompt.feedback else CLOSINGS
    attempts = ATTEMPTS if deed.theme and prompt.kind == "action" else SAYINGS
    attempt, outcome, ending = (_filled(rng.choice(texts), prompt, deed) for texts in (attempts, outcomes, endings))
    told = " ".join(filter(None, [attempt, outcome, shown, ending]))
    return Tale(told, [effect.change for effect in found])


def _happen(prompt: Prompt, rng: Random) -> Tale:
    """What happens by itself, in the first words of each description. It changes nothing but the time."""
    told = (SENTENCE.split(" ".join(event.split()))[:MOST_SENTENCES] for event in prompt.action.split("\n\n"))
    nothing = read_deed("")
    words = " ".join(" ".join(sentences) for sentences in told)
    heeded = _filled(rng.choice(HEEDED), prompt, nothing) if prompt.feedback else ""
    found = effects(nothing, prompt.state, prompt.actor, frozenset(), rng)
    return Tale(f"{words} {heeded}".strip(), [effect.change for effect in found])


def _chronicle(prompt: Prompt, rng: Random) -> Tale:
    """What has happened, in the first words of each part of the scene: with a title, or as a chapter."""
    nothing = read_deed("")
    parts = [part.rpartition("\n")[2] for part in prompt.scene.split("\n\n")]
    told = [SENTENCE.split(" ".join(part.split()))[0] for part in parts if part.strip()]
    if prompt.kind == "outline":
        title = rng.choice(TITLES).format(place=_place(prompt))
        return Tale(f"{title}\n{' '.join(told[-MOST_PARTS:])}", [])
    ending = _filled(rng.choice(HEEDED if prompt.feedback else CLOSINGS), prompt, nothing)
    return Tale("\n\n".join([*told[-MOST_PARTS:], ending]), [])


def _place(prompt: Prompt) -> str:
    """Where the scene was last."""
    places = PLACE.findall(prompt.scene)
    return str(places[-1]).lower() if places else "place"


def canonical(prompt: Prompt) -> str:
    """The prompt as text that does not depend on the order of keys, which a database may change."""
    return json.dumps(prompt.model_dump(mode="json"), sort_keys=True)


def _filled(sentence: str, prompt: Prompt, deed: Deed) -> str:
    """One of ours: what has words of players or of the state in it already is no template."""
    return sentence.format(
        actor=" ".join(prompt.actor.split()),
        phrase=deed.phrase if prompt.kind == "action" else shorten(prompt.action),
        place=_place(prompt),
        feedback=shorten(prompt.feedback or "").rstrip(" .!,;"),
    )
