from django.contrib.admin.apps import SimpleAdminConfig


class SiteAdminConfig(SimpleAdminConfig):
    """Django's admin with our site, which rooms' admin modules register with as usual."""

    default_site = "queueproject.admin.Site"
