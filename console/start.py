"""Starting the client: its arguments, and which of the two views is used."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from dataclasses import replace

from console.api import Api
from console.session import Patience, Session


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What both ``manage.py console`` and ``python -m console`` take."""
    parser.add_argument("--server", default="http://127.0.0.1:8000", help="the site, as in http://127.0.0.1:8000")
    parser.add_argument(
        "--token",
        default=os.environ.get("CONSOLE_TOKEN", ""),
        help="an API token; by default the variable CONSOLE_TOKEN",
    )
    parser.add_argument("--game", required=True, help="the game's id")
    parser.add_argument("--plain", action="store_true", help="read lines and print lines, for pipes and scripts")
    parser.add_argument(
        "--timeout",
        type=float,
        default=Patience.request_seconds,
        metavar="SECONDS",
        help="say so when nothing is heard of a request for so long (%(default)s)",
    )


def start(*, server: str, token: str, game: str, plain: bool, timeout: float) -> int:
    """Play until it is over; the exit status."""
    if not token:
        sys.stderr.write("an API token is needed: --token, or the variable CONSOLE_TOKEN\n")
        return 2
    if not server.startswith(("http://", "https://")):
        sys.stderr.write(f"{server!r} is no address: http://… or https://…\n")
        return 2
    patience = replace(Patience(), request_seconds=timeout)
    try:
        return asyncio.run(_play(Api(server, token, game), patience, plain=plain))
    except KeyboardInterrupt:
        return 130


async def _play(api: Api, patience: Patience, *, plain: bool) -> int:
    # Imported here: scripts that use the plain mode shall not wait for a whole screen to load.
    try:
        if plain:
            from console.plain import Lines, play

            view = Lines(sys.stdout)
            return await play(Session(api, view, patience), view, sys.stdin)
        from console.screen import ConsoleApp

        screen = ConsoleApp()
        screen.session = Session(api, screen, patience)
        return await screen.run_async() or 0
    finally:
        await api.close()
