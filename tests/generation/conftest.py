from collections.abc import Callable
from typing import Any

import pytest

from generation.prompts import Prompt
from queueproject.testing.model_server import OpenAIServer

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
def server(config: Callable[..., None], model_server: OpenAIServer) -> OpenAIServer:
    """A misbehaving model, to which the settings point."""
    config(
        llm_provider="openai_compatible",
        llm_base_url=model_server.base_url,
        llm_model="tiny",
        llm_api_key="sk-secret",
        llm_timeout_seconds=5,
    )
    return model_server
