"""How HTTP reaches Django: a request runs on one thread from its first signal to its last, one of a few that stay.

Django's own handler changes threads six times for each request, starts one for each, and lets as many run as come:
they fight for the interpreter until all of them are slow. Here those that find no thread free wait for one, in order.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

from asgiref.sync import sync_to_async
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.http import FileResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix


class Handler(ASGIHandler):
    """An ASGI application. Whoever goes away before the answer changes nothing: what was asked is done."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="http")

    def load_middleware(self, is_async: bool = False) -> None:
        """All of it synchronous, whatever ``is_async`` says: each change between the two would change threads."""
        super().load_middleware(is_async=False)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        in_thread = sync_to_async(self._respond, thread_sensitive=False, executor=self._pool)
        response = await in_thread(scope, body)
        try:
            await self.send_response(response, send)
        finally:
            if response.streaming:
                await sync_to_async(response.close, thread_sensitive=False, executor=self._pool)()

    def _respond(self, scope: dict[str, Any], body: IO[bytes]) -> HttpResponseBase:
        """The answer, closed, unless there is more of it to come."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body)
        response = refusal if request is None else self.get_response(request)
        assert response is not None
        if isinstance(response, FileResponse):
            response.block_size = self.chunk_size
        if not response.streaming:
            response.close()
        return response
