from django.contrib.admin.apps import AdminConfig


class SiteAdminConfig(AdminConfig):
    """Django's admin with our site, which rooms' admin modules register with as usual."""

    default_site = "queueproject.admin.Site"

    def ready(self) -> None:
        super().ready()
        from queueproject import dashboard  # noqa: F401
