"""What has been kept for long enough is deleted, a small batch at a time."""

from __future__ import annotations

import time

from django.conf import settings

from jobs.operations import upkeep


def run_cleanup() -> float:
    """Delete one batch; seconds until the next look.

    Where there is more it rests for as long as it took, so that half of the time is always left to the others.
    """
    began = time.monotonic()
    deleted = upkeep.prune()
    return time.monotonic() - began if deleted == upkeep.BATCH else settings.CONFIG.cleanup_seconds
