from collections.abc import Callable, Iterator
from typing import Any

import pytest

from generation.prompts import Prompt
from tests.generation import openai_server

Ask = Callable[..., Prompt]


@pytest.fixture
def ask() -> Ask:
    """``ask("open the door", feedback=…)`` is a prompt in a small world."""

    def prompt(action: str = "I open the cellar door", **fields: Any) -> Prompt:
        world: dict[str, Any] = {
            "scene": "Rain hammers on the roof of the tavern.",
            "state": {
                "party": {"gold": 12, "inventory": ["torch", "rope"], "health": 9},
                "doors": {"cellar": "closed", "attic": "locked"},
                "alarm": 1,
                "clock": 3,
            },
            "actor": "Mira",
        }
        return Prompt(action=action, **(world | fields))

    return prompt


@pytest.fixture
def server(config: Callable[..., None]) -> Iterator[openai_server.OpenAIServer]:
    """A misbehaving model, to which the settings point."""
    with openai_server.running() as server:
        config(
            llm_provider="openai_compatible",
            llm_base_url=server.base_url,
            llm_model="tiny",
            llm_api_key="sk-secret",
            llm_timeout_seconds=5,
        )
        yield server
