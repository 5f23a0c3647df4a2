"""Addresses. Every room's urls.py holds full paths from the root."""

from importlib.util import find_spec

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from queueproject.api import api
from queueproject.health import healthz, readyz

urlpatterns = [
    path("admin/", admin.site.urls),
    path("v1/", api.urls),
    path("healthz", healthz),
    path("readyz", readyz),
    *(path("", include(f"{room}.urls")) for room in settings.ROOMS if find_spec(f"{room}.urls")),
]
