"""What has been kept for long enough is deleted, a small batch at a time."""

from __future__ import annotations

from django.conf import settings

from jobs.operations import upkeep


def run_cleanup() -> float:
    """Delete one batch; seconds until the next look."""
    deleted = upkeep.prune()
    return settings.CONFIG.tick_seconds if deleted == upkeep.BATCH else settings.CONFIG.cleanup_seconds
