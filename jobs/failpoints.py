"""Named places where a test may stop, kill or fail a process; in production each is a look at two empty containers.

``FAILPOINTS="after_claim=exit;before_complete=raise;after_pop=pause:2"`` arms them in a process of its own;
``arm``/``disarm`` do so within a test. ``exit`` is ``os._exit(9)``: no cleanup, as after kill -9. An action may be
limited to the n-th passage: ``after_claim=exit@3``.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Action = Callable[[], None]

_armed: dict[str, Action] = {}
_everywhere: list[Callable[[str], None]] = []


class FailpointRaised(RuntimeError):
    """The error that ``raise`` injects."""


def failpoint(name: str) -> None:
    """Do what a test armed here, if anything."""
    if _armed and name in _armed:
        _armed[name]()
    if _everywhere:
        _everywhere[-1](name)


def arm(name: str, action: Action) -> None:
    """Run ``action`` whenever this process passes the failpoint."""
    _armed[name] = action


@contextmanager
def everywhere(action: Callable[[str], None]) -> Iterator[None]:
    """Meanwhile, call ``action`` with the name of each failpoint that this process passes."""
    _everywhere.append(action)
    try:
        yield
    finally:
        _everywhere.remove(action)


def disarm() -> None:
    """Make every failpoint a no-op again."""
    _armed.clear()


def arm_from(spec: str) -> None:
    """Arm what a specification (see the module's text) asks for; ``ValueError`` says what is wrong in it."""
    for item in filter(None, (part.strip() for part in spec.split(";"))):
        name, found, action = item.partition("=")
        if not found:
            raise ValueError(f"failpoint {item!r}: write name=action")
        action, _, passage = action.partition("@")
        arm(name, _on_passage(int(passage), _action(action)) if passage else _action(action))


def _action(text: str) -> Action:
    kind, _, argument = text.partition(":")
    match kind:
        case "exit":
            return lambda: os._exit(9)
        case "raise":
            return _raise
        case "pause":
            return lambda: time.sleep(float(argument))
    raise ValueError(f"failpoint action {text!r}: use exit, raise or pause:<seconds>")


def _raise() -> None:
    raise FailpointRaised("injected failure")


def _on_passage(number: int, action: Action) -> Action:
    lock, passed = threading.Lock(), 0

    def count() -> None:
        nonlocal passed
        with lock:
            passed += 1
            due = passed == number
        if due:
            action()

    return count


if os.environ.get("FAILPOINTS"):
    arm_from(os.environ["FAILPOINTS"])
