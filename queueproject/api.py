"""The HTTP API at /v1/. Every room's router holds full paths below it."""

from importlib import import_module
from importlib.util import find_spec

from django.conf import settings
from ninja import NinjaAPI

from queueproject import errors
from queueproject.parsing import StrictParser

api = NinjaAPI(title="queueproject", version="1", urls_namespace="v1", parser=StrictParser())
errors.register(api)
for room in settings.ROOMS:
    if find_spec(f"{room}.api"):
        api.add_router("", import_module(f"{room}.api").router)
