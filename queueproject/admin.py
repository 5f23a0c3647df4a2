"""The admin console's frame."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib import admin
from django.core.checks import CheckMessage


class Site(admin.AdminSite):
    """The rooms' admin modules are read once its addresses or checks are asked for: no worker holds them in memory."""

    site_header = "queueproject"
    site_title = "queueproject"
    index_title = "Everything that is kept"

    @property
    def urls(self) -> tuple[list[Any], str, str]:
        _read_the_rooms()
        return super().urls

    def check(self, app_configs: Sequence[AppConfig] | None) -> list[CheckMessage]:
        _read_the_rooms()
        return super().check(app_configs)


def _read_the_rooms() -> None:
    admin.autodiscover()
    from queueproject import dashboard  # noqa: F401
