"""The web process: HTTP by Django, WebSockets by the rooms' consumers."""

import os
from importlib import import_module
from importlib.util import find_spec

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "queueproject.settings")
http = get_asgi_application()

from django.conf import settings  # noqa: E402

from accounts.sockets import SocketAuthentication  # noqa: E402
from queueproject.sockets import nothing_here  # noqa: E402

routes = [
    route
    for room in settings.ROOMS
    if find_spec(f"{room}.routing")
    for route in import_module(f"{room}.routing").websocket_urlpatterns
]
websocket = SocketAuthentication(URLRouter([*routes, nothing_here]))
application = ProtocolTypeRouter({"http": http, "websocket": websocket})
