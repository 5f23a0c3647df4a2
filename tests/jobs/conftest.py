from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def nothing_kept() -> Iterator[None]:
    """What this process remembers of queues, limits and tickets is forgotten, before and after."""
    from jobs import failpoints, queue_settings  # Models can't be imported before Django is set up, and conftest is.
    from jobs.transport import transport

    queue_settings.forget()
    for queue in ("system", "assets"):
        transport().empty(queue)
    yield
    failpoints.disarm()
    queue_settings.forget()
