"""Waiting for something to become true: the kit's own."""

from queueproject.testing.waiting import EVERY_SECONDS, TIMEOUT_SECONDS, await_until, wait_until

__all__ = ["EVERY_SECONDS", "TIMEOUT_SECONDS", "await_until", "wait_until"]
