"""The address of a game's socket."""

from django.urls import path

from games.consumers import game_socket

websocket_urlpatterns = [path("ws/games/<uuid:game_id>/", game_socket)]  # type: ignore[arg-type]  # ASGI, not a view
