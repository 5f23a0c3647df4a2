"""Replay, then follow: how sockets and streams read a scope's numbered events."""

from jobs.streams.hub import Hub, hub
from jobs.streams.rows import Row, scope_id
from jobs.streams.stream import Stream

__all__ = ["Hub", "Row", "Stream", "hub", "scope_id"]
