"""The address of the decision queue's socket."""

from django.urls import path

from approvals.consumers import decisions_socket

websocket_urlpatterns = [path("ws/decisions/", decisions_socket)]  # type: ignore[arg-type]  # ASGI, not a view
