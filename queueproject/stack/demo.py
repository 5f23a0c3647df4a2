"""What `manage.py demo` made, for people to read and for scripts to drive it by."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict


class Demo(TypedDict):
    """The demo's users with password and token, and its games with id and name."""

    users: dict[str, dict[str, Any]]
    games: list[dict[str, Any]]


def read(path: Path) -> Demo:
    demo: Demo = json.loads(path.read_text())
    return demo


def publish(demo: Demo, base_url: str, path: Path) -> None:
    """Write the file in one go: whoever sees it may start."""
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"base_url": base_url, **demo}, indent=2) + "\n")
    os.replace(part, path)


def describe(demo: Demo, base_url: str) -> Iterator[str]:
    """The addresses and the sign-ins, line by line."""
    yield f"The site       {base_url}/"
    yield f"Decisions      {base_url}/decisions/"
    yield f"Admin          {base_url}/admin/"
    yield f"API            {base_url}/v1/docs"
    for game in demo["games"]:
        yield f"Game           {base_url}/play/{game['id']}/   {game['name']}"
    for name, user in demo["users"].items():
        yield f"Sign in as     {name}   password: {user['password']}"
