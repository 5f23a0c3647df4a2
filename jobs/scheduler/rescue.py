"""Jobs of dead workers go back to the queue."""

from __future__ import annotations

import logging

from django.conf import settings

from jobs.operations import leases

logger = logging.getLogger(__name__)


def run_rescue() -> float:
    """Take back one batch; seconds until the next look."""
    rescued = leases.rescue()
    leases.bury()
    if rescued:
        logger.warning("%s jobs were taken back from workers that are gone", len(rescued))
    return 0.0 if len(rescued) == leases.CLAIM_BATCH else settings.CONFIG.tick_seconds
