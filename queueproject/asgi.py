"""The web process: HTTP by Django, WebSockets by the rooms' consumers."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "queueproject.settings")
http = get_asgi_application()

import approvals.routing  # noqa: E402
import games.routing  # noqa: E402
from accounts.sockets import SocketAuthentication  # noqa: E402
from queueproject.sockets import nothing_here  # noqa: E402

routes = [*games.routing.websocket_urlpatterns, *approvals.routing.websocket_urlpatterns, nothing_here]
application = ProtocolTypeRouter({"http": http, "websocket": SocketAuthentication(URLRouter(routes))})
