"""The addresses of a game's socket and stream."""

from django.urls import path

from games.consumers import game_socket
from games.sse import game_events

websocket_urlpatterns = [path("ws/games/<uuid:game_id>/", game_socket)]  # type: ignore[arg-type]  # ASGI, not a view
stream_urlpatterns = [path("v1/events/games/<uuid:game_id>", game_events)]  # type: ignore[arg-type]
