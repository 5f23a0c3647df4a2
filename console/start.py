"""Starting the client: its arguments, and which of the two views is used."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
from dataclasses import replace
from io import TextIOWrapper

import httpx

from console.api import Api
from console.patience import Patience
from console.session import Session

LAST_PORT = 65535
SENDABLE = re.compile(r"[\w.~+/=-]+", re.ASCII)


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
    if mistake := _mistake(server, token, game, timeout):
        sys.stderr.write(f"{mistake}\n")
        return 2
    patience = replace(Patience(), request_seconds=timeout)
    try:
        return asyncio.run(_play(Api(server, token, game), patience, plain=plain))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # Nobody reads any more; Python would try once more, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _mistake(server: str, token: str, game: str, timeout: float) -> str:
    """What would keep every request from being sent, or from ever being waited for."""
    if not timeout > 0:
        return f"--timeout takes seconds above 0, not {timeout:g}"
    if not token:
        return "an API token is needed: --token, or the variable CONSOLE_TOKEN"
    if not SENDABLE.fullmatch(token):
        return "the token has characters that no token has"
    if not SENDABLE.fullmatch(game):
        return f"{game!r} is no game's id"
    try:
        url = httpx.URL(server)
    except httpx.InvalidURL as error:
        return f"{server!r} is no address: {error}"
    if url.scheme not in ("http", "https") or not url.host or (url.port or 0) > LAST_PORT:
        return f"{server!r} is no address: http://… or https://…"
    return ""


async def _play(api: Api, patience: Patience, *, plain: bool) -> int:
    # Imported here: scripts that use the plain mode shall not wait for a whole screen to load.
    try:
        if plain:
            from console.plain import Lines, play

            for stream in (sys.stdin, sys.stdout):
                if isinstance(stream, TextIOWrapper):
                    stream.reconfigure(errors="replace")  # A pipe may bring any bytes, a terminal may lack letters.
            view = Lines(sys.stdout)
            return await play(Session(api, view, patience), view, sys.stdin)
        from console.screen import ConsoleApp

        screen = ConsoleApp()
        screen.session = Session(api, screen, patience)
        return await screen.run_async() or 0
    finally:
        await api.close()
