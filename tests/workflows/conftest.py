from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cast import Cast


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    from tests.cast import assemble  # Models can't be imported before Django is set up, and conftest is.

    return assemble()
