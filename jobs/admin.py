"""The record, to look into. Nothing is decided or changed by editing a row: operators' actions are operations."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobs.admin_actions import JobActions
from jobs.admin_finding import Finding, QueueFilter, TagFilter, TypeFilter
from jobs.admin_live import JobLive
from jobs.models import Job, Worker
from jobs.models_events import JobEvent
from jobs.models_steps import JobLog, JobStep
from jobs.models_workflows import Confirmation, WorkflowStep
from jobs.progress import step_of, with_step
from jobs.rules import may_inspect
from jobs.why import why_waiting

HELD = ("payload", "result", "error", "progress")
"""What a job holds, for those with the right to inspect jobs."""


class ReadOnly:
    """No adding, changing or deleting, whatever rights a user has."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class _Timeline(ReadOnly, admin.TabularInline[Any, Job]):
    extra = 0
    ordering = ("id",)
    show_change_link = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Part of the job: no right of its own is needed."""
        return request.user.has_perm("jobs.view_job")


class EventInline(_Timeline):
    model = JobEvent
    fields = ("at", "seq", "event", "status", "token", "data", "private")
    verbose_name_plural = "timeline"


class StepInline(_Timeline):
    model = JobStep
    fields = ("at", "name", "kind", "attempt", "result", "error")


class WorkflowStepInline(_Timeline):
    model = WorkflowStep
    fields = ("began_at", "name", "state", "percent", "message", "ended_at")


class ConfirmationInline(_Timeline):
    model = Confirmation
    fields = ("opened_at", "step", "version", "state", "attempts", "due_at", "confirmed_by", "confirmed_at")


class BareWorkflowStepInline(_Timeline):
    """The steps for those who may not see what jobs hold."""

    model = WorkflowStep
    fields = ("began_at", "name", "state", "percent", "ended_at")


class BareEventInline(_Timeline):
    """The timeline for those who may not see what jobs hold."""

    model = JobEvent
    verbose_name_plural = "timeline"
    fields = ("at", "seq", "event", "status", "token")


class LogInline(_Timeline):
    model = JobLog
    fields = ("at", "attempt", "text")


@admin.register(Job)
class JobAdmin(ReadOnly, JobActions, JobLive, Finding):
    """Jobs with their events and steps, why they wait, and what operators may do to them."""

    list_display = (
        *("public_id", "type", "queue", "badge", "at_step"),
        *("owner", "scope", "tagged", "place", "attempt", "created_at"),
    )
    list_filter = ("status", "outcome", QueueFilter, TypeFilter, TagFilter, "created_at")
    list_select_related = ("owner", "scope")
    search_fields = ("owner__username", "scope__key")
    search_help_text = (
        "request id, idempotency key, user name, game:<id>, or words of the payload for those who may see it"
    )
    show_full_result_count = False
    ordering = ("-id",)
    readonly_fields = ("why", "cause", "tagged")

    @admin.display(description="waits")
    def why(self, job: Job) -> SafeString | str:
        found = why_waiting(job)
        return format_html('<a href="{}">{}</a>', found.url, found.text) if found else "-"

    @admin.display(description="error")
    def cause(self, job: Job) -> str:
        return str((job.error or {}).get("code") or "-")

    def get_fields(self, request: HttpRequest, obj: Job | None = None) -> list[Any]:
        """Why it waits comes first; of the error all, or its code only."""
        hidden = {"why", "cause"} if may_inspect(request.user) else {"why", *HELD}
        return ["why", *(field for field in super().get_fields(request, obj) if field not in hidden)]

    def get_inlines(self, request: HttpRequest, obj: Job | None) -> Any:
        inspects = may_inspect(request.user)
        steps = (WorkflowStepInline if inspects else BareWorkflowStepInline, ConfirmationInline)
        of_workflow = steps if obj and obj.workflow else ()
        return (*of_workflow, *((EventInline, StepInline, LogInline) if inspects else (BareEventInline,)))

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Who may not see payloads may not guess at them either."""
        return (*self.search_fields, "payload") if may_inspect(request.user) else self.search_fields

    @admin.display(description="status", ordering="status")
    def badge(self, job: Job) -> SafeString:
        return format_html(
            '<span class="badge" data-status="{}">{}</span>', job.request_status, job.get_status_display()
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        return with_step(super().get_queryset(request)).defer("payload", "result")

    @admin.display(description="step", empty_value="")
    def at_step(self, job: Job) -> str:
        return step_of(job)


@admin.register(Worker)
class WorkerAdmin(ReadOnly, admin.ModelAdmin[Worker]):
    """Worker processes, those that are gone included."""

    list_display = ("name", "slots", "started_at", "beat_at", "lease_until", "ended_at")
    ordering = ("-id",)


from jobs import admin_pauses as admin_pauses  # noqa: E402 - its pages build on ReadOnly
from jobs import admin_queues as admin_queues  # noqa: E402 - its pages build on ReadOnly
from jobs import admin_schedules as admin_schedules  # noqa: E402 - its pages build on ReadOnly
