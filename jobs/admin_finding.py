"""Finding jobs in the admin: by queue, type or tag, by an id, by an idempotency key."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from jobs import listing, sql, statements
from jobs.models import Job, JobTag

RECENT = 1000
"""Of so many of the last tags the filter offers each; others are asked for in the address."""


class _Exactly(admin.SimpleListFilter):
    """Jobs whose ``column`` is the chosen value; none for what no column can hold."""

    column: str

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        value = self.value()
        if not value:
            return queryset
        return queryset.none() if "\0" in value else queryset.filter(**{self.column: value})


class QueueFilter(_Exactly):
    """The queues there are: Django's own filter would read all jobs to offer those that they are in."""

    title = parameter_name = column = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(queue, queue) for queue in settings.QUEUES]


class TypeFilter(_Exactly):
    """The types that jobs are of, known or no more, each found by index."""

    title = parameter_name = column = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for (name,) in statements.ask(sql.different("jobs_job", "type", "true"))]


class TagFilter(_Exactly):
    """The tags that jobs were given lately."""

    title = parameter_name = "tag"
    column = "tags__tag"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        offered = set(JobTag.objects.order_by("-pk").values_list("tag", flat=True)[:RECENT])
        asked = request.GET.get(self.parameter_name)
        return [(tag, tag) for tag in sorted({*offered, *([asked] if asked else [])})]


class Finding(admin.ModelAdmin[Job]):
    """The part of the list that finds."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Job], search_term: str
    ) -> tuple[QuerySet[Job], bool]:
        """What has exactly this name, if anything has; else what holds the words."""
        exact = listing.named(search_term.strip())
        if search_term and Job.objects.filter(exact).exists():
            return queryset.filter(exact), False
        return super().get_search_results(request, queryset, search_term)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        return super().get_queryset(request).prefetch_related("tags")

    @admin.display(description="tags", empty_value="")
    def tagged(self, job: Job) -> SafeString:
        tags = sorted(given.tag for given in job.tags.all())
        return format_html_join(" ", '<a href="?tag={}">{}</a>', ((quote(tag), tag) for tag in tags))
