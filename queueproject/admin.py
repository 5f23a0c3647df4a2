"""The admin console's frame."""

from django.contrib.admin import AdminSite


class Site(AdminSite):
    site_header = "queueproject"
    site_title = "queueproject"
    index_title = "Everything that is kept"
