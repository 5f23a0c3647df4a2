"""Clients that watch a game, by WebSocket or by event stream, and note when each event reaches them."""

from __future__ import annotations

import json
import time
from asyncio import open_connection
from collections.abc import Callable
from urllib.parse import urlsplit
from uuid import UUID

from websockets.asyncio.client import connect

SEEN_EVERY = 50

Note = Callable[[int, float], None]
"""An event's number, and when it was there (``time.perf_counter``)."""


async def watch_by_socket(base_url: str, game: UUID, token: str, open_: Callable[[], None], note: Note) -> None:
    """For ever, as a page does it."""
    address = f"{base_url.replace('http', 'ws', 1)}/ws/games/{game}/"
    headers = {"Authorization": f"Bearer {token}"}
    async with connect(address, additional_headers=headers, compression=None, open_timeout=60) as socket:
        welcome = json.loads(await socket.recv())
        await socket.send(json.dumps({"type": "hello", "cursor": welcome["head"]}))
        open_()
        async for text in socket:
            frame = json.loads(text)
            if "seq" in frame:
                note(frame["seq"], time.perf_counter())
                if frame["seq"] % SEEN_EVERY == 0:
                    await socket.send(json.dumps({"type": "seen", "seq": frame["seq"]}))


async def watch_by_stream(base_url: str, game: UUID, token: str, open_: Callable[[], None], note: Note) -> None:
    """For ever, as ``curl -N`` does it."""
    address = urlsplit(base_url)
    reader, writer = await open_connection(address.hostname, address.port)
    head = f"GET /v1/events/games/{game} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
    try:
        writer.write(head.encode())
        status = await reader.readuntil(b"\r\n")
        if b"200" not in status:
            raise RuntimeError(f"the stream was refused: {status.decode().strip()}")
        began = False
        async for line in reader:
            if not line.startswith(b"id: "):
                continue
            if began:
                note(int(line[4:]), time.perf_counter())
            else:
                began = True
                open_()
    finally:
        writer.close()
        await writer.wait_closed()
