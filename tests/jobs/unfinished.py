"""Processes that die between a commit and what was to follow it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobs.operations import transitions


def dies_before_it_looks_elsewhere(end: Callable[[], object]) -> None:
    """End a job, but let nobody run, or be called off, who depends on it in a lane that was not locked."""
    with pytest.MonkeyPatch.context() as dead:
        dead.setattr(transitions, "_release_later", lambda ids: None)
        end()
