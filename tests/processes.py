"""Real web, worker and scheduler processes: the kit's own."""

from queueproject.testing.processes import START_SECONDS, Stack, answers, database_url, free_port

__all__ = ["START_SECONDS", "Stack", "answers", "database_url", "free_port"]
