"""What must not stand in logs: the tokens of callbacks, which are parts of addresses."""

from __future__ import annotations

import re
from typing import Any

from structlog.typing import EventDict, WrappedLogger

TOKEN = re.compile(r"(/v1/callbacks/)[^\s/?\"'>]+")


def redacted(text: str) -> str:
    """The text with each token left out."""
    return TOKEN.sub(r"\1[token]", text)


def redact_line(logger: WrappedLogger, method: str, line: str | bytes | EventDict) -> Any:
    """A log line as it goes out, whoever wrote it."""
    return redacted(line) if isinstance(line, str) else line


def redact_access_log() -> None:
    """Daphne's own access log, which is no logger of Python's."""
    from daphne.access import AccessLogGenerator

    write = AccessLogGenerator.write_entry

    def write_entry(self: Any, host: Any, date: Any, request: str, *rest: Any, **more: Any) -> None:
        write(self, host, date, redacted(request), *rest, **more)

    AccessLogGenerator.write_entry = write_entry
