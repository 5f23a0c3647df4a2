"""The web process: HTTP by Django, WebSockets and event streams by the rooms themselves."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "queueproject.settings")
http = get_asgi_application()

import approvals.routing  # noqa: E402
import games.routing  # noqa: E402
import jobs.routing  # noqa: E402
from accounts.sockets import SocketAuthentication  # noqa: E402
from queueproject.redaction import redact_access_log  # noqa: E402
from queueproject.sockets import nothing_here  # noqa: E402
from queueproject.streams import beside  # noqa: E402

redact_access_log()
rooms = (games.routing, approvals.routing, jobs.routing)
routes = [*(pattern for room in rooms for pattern in room.websocket_urlpatterns), nothing_here]
streams = [*games.routing.stream_urlpatterns, *jobs.routing.stream_urlpatterns]
application = ProtocolTypeRouter({"http": beside(http, streams), "websocket": SocketAuthentication(URLRouter(routes))})
