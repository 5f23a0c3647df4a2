"""The web process: HTTP by Django, WebSockets and event streams by the rooms themselves."""

import gc
import os

import django
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "queueproject.settings")
django.setup(set_prefix=False)

import approvals.routing  # noqa: E402
import games.routing  # noqa: E402
import jobs.routing  # noqa: E402
import queueproject.urls  # noqa: E402, F401 - else the first request would wait for it
from accounts.sockets import SocketAuthentication  # noqa: E402
from queueproject.handler import Handler  # noqa: E402
from queueproject.health import healthz  # noqa: E402
from queueproject.redaction import redact_access_log  # noqa: E402
from queueproject.sockets import nothing_here  # noqa: E402
from queueproject.streams import beside  # noqa: E402

redact_access_log()
rooms = (games.routing, approvals.routing, jobs.routing)
routes = [*(pattern for room in rooms for pattern in room.websocket_urlpatterns), nothing_here]
streams = [*games.routing.stream_urlpatterns, *jobs.routing.stream_urlpatterns, path("healthz", healthz)]  # type: ignore[arg-type]
application = ProtocolTypeRouter(
    {
        "http": beside(Handler(settings.CONFIG.http_threads), streams),
        "websocket": SocketAuthentication(URLRouter(routes)),
    }
)

# What is loaded by now stays: looking through it for garbage would stop every request for a tenth of a second.
gc.collect()
gc.freeze()
