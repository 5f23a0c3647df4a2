"""The answer to a WebSocket at an address where there is none."""

from channels.generic.websocket import AsyncWebsocketConsumer
from django.urls import re_path

from accounts.sockets import refuse

NOT_FOUND = 4404


class NothingHere(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        await refuse(self.base_send, NOT_FOUND, "not_found", "there is no socket at this address")


nothing_here = re_path(r"", NothingHere.as_asgi())
