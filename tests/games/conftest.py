from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from games.models import Game
    from tests.cast import Cast


@pytest.fixture
def cast(db: None) -> Cast:
    from tests.cast import assemble  # Models can't be imported before Django is set up, and conftest is.

    return assemble()


@pytest.fixture
def game(cast: Cast) -> Game:
    return cast.game


@pytest.fixture(autouse=True)
def _quick_storyteller(config: Callable[..., None]) -> None:
    config(scripted_seconds=0)
