"""Addresses. Every room's urls.py holds full paths from the root."""

from django.contrib import admin
from django.urls import include, path

from queueproject.api import api
from queueproject.health import readyz

urlpatterns = [
    path("admin/", admin.site.urls),
    path("v1/", api.urls),
    path("readyz", readyz),
    path("", include("accounts.urls")),
    path("", include("approvals.urls")),
    path("", include("games.urls")),
    path("", include("jobs.urls")),
]
