"""A client's keep-alive connection. A full HTTP library would cost as much CPU as the server it measures."""

from __future__ import annotations

import json
from asyncio import StreamReader, StreamWriter, open_connection
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit


class Connection:
    """One client's connection; one request at a time."""

    def __init__(self, reader: StreamReader, writer: StreamWriter, token: str) -> None:
        self._reader = reader
        self._writer = writer
        self._token = token

    @classmethod
    @asynccontextmanager
    async def open(cls, base_url: str, token: str) -> AsyncIterator[Connection]:
        address = urlsplit(base_url)
        reader, writer = await open_connection(address.hostname, address.port)
        yield cls(reader, writer, token)
        writer.close()
        await writer.wait_closed()

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer's JSON; ``RuntimeError`` for any answer but 200."""
        content = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self._token}\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        self._writer.write(head.encode() + content)
        status, *fields = (await self._reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        answer = await self._reader.readexactly(int(headers["content-length"]))
        if status.split()[1] != "200":
            raise RuntimeError(f"POST {path}: {status}: {answer.decode(errors='replace')[:300]}")
        given: dict[str, Any] = json.loads(answer)
        return given
