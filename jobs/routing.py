"""The address of the operators' socket."""

from django.urls import path

from jobs.consumers import ops_socket

websocket_urlpatterns = [path("ws/ops/", ops_socket)]  # type: ignore[arg-type]  # ASGI, not a view
