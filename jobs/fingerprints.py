"""What dead jobs have in common: the same cause gives the same fingerprint, whatever the line or the message."""

from __future__ import annotations

import hashlib
import re

CHARACTERS = 16
FRAME = re.compile(r'^ *File "(?P<file>[^"]+)", line \d+, in (?P<function>\S+)', re.MULTILINE)
RAISED = re.compile(r"^(?P<kind>[A-Za-z_][\w.]*)(?::|$)", re.MULTILINE)


def fingerprint(code: str, traceback: str) -> str:
    """The cause of a failure: its code, the kind of exception, and the file and function that raised it."""
    cause = "\n".join((code, *_raised(traceback)))
    return hashlib.sha256(cause.encode()).hexdigest()[:CHARACTERS]


def _raised(traceback: str) -> tuple[str, ...]:
    """Without line numbers and messages, which change from one deployment or payload to the next."""
    frames = list(FRAME.finditer(traceback))
    if not frames:
        return ()
    last = frames[-1]
    raised = RAISED.search(traceback, last.end())
    return "/".join(re.split(r"[\\/]", last["file"])[-2:]), last["function"], raised["kind"] if raised else ""
