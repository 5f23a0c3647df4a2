"""Operating the queue over HTTP, at /v1/ops/: for staff, with a right for each action."""

from __future__ import annotations

from jobs import api_adding, api_dead_letters, api_jobs, api_matching, api_queues
from jobs.api_operator import router

__all__ = ["api_adding", "api_dead_letters", "api_jobs", "api_matching", "api_queues", "router"]
