"""The rule that a handler writes only inside ``ctx.commit``, held by refusing other statements on its connection."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from jobs.errors import HandlerMisuse

READS = re.compile(r"\s*(SELECT|WITH|BEGIN|SAVEPOINT|RELEASE|ROLLBACK|SET|SHOW|EXPLAIN|PRAGMA)\b", re.IGNORECASE)

WRITES_TOO = re.compile(r"\s*WITH\b.*\b(INSERT\s+INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM)\b", re.IGNORECASE | re.DOTALL)


class WriteGuard:
    """Refuses statements that write while a handler's own code runs outside ``commit``."""

    def __init__(self, misused: Callable[[HandlerMisuse], Exception]) -> None:
        self._misused = misused
        self._open = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Guard this thread's connection."""
        with connection.execute_wrapper(self._check):
            yield

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """The queue itself, or a ``commit`` step, is writing."""
        before, self._open = self._open, True
        try:
            yield
        finally:
            self._open = before

    def _check(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if not self._open and isinstance(sql, str) and (not READS.match(sql) or WRITES_TOO.match(sql)):
            verb = sql.split(None, 1)[0] if sql.strip() else sql
            rule = f"the handler writes outside ctx.commit ({verb} …): move it into ctx.commit(name, fn)"
            raise self._misused(HandlerMisuse(rule))
        return execute(sql, params, many, context)
