"""RQ's own screens, for superusers and from the record: RQ would let any member of staff act, on what Redis says."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, reverse
from django_rq.admin import QueueAdmin
from django_rq.models import Dashboard
from django_rq.queues import get_queue_by_index
from django_rq.settings import get_queues_map
from django_rq.views import each_context

from jobs.listing import find, queue_rows
from jobs.models import Job
from jobs.states import Status

View = Callable[..., HttpResponse]

LISTS = {
    "finished_jobs": Status.COMPLETED,
    "failed_jobs": Status.DEAD,
    "scheduled_jobs": Status.SCHEDULED,
    "started_jobs": Status.RUNNING,
    "deferred_jobs": Status.PENDING,
}
KEPT = {"jobs", "queue_details"}
"""Those of RQ's pages that ask the queue class, and so tell the truth."""


@admin.register(Dashboard)
class SuperusersDashboard(QueueAdmin):
    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return _home(request)

    def get_urls(self) -> list[URLPattern]:
        patterns: list[URLPattern] = super().get_urls()  # type: ignore[no-untyped-call]
        for pattern in patterns:
            pattern.callback = _superusers_only(_true_view(pattern))
        return patterns


def _superusers_only(view: View) -> View:
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_superuser:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded


def _true_view(pattern: URLPattern) -> View:
    """The view, or one from the record in its place where RQ's would ask Redis for what it doesn't know."""
    page = (pattern.name or "").removeprefix("django_rq_")
    if page in LISTS:
        return lambda request, queue_index: _jobs(queue_index, LISTS[page])
    if page == "home":
        return _home
    if page == "workers":
        return _workers
    if page == "worker_details":
        return lambda request, queue_index, key: redirect("admin:jobs_worker_changelist")
    if page == "home_json":
        return lambda request, token=None: JsonResponse({"queues": statistics()})
    if "queue_index" in pattern.pattern.converters and page not in KEPT:
        return _one_job
    return pattern.callback


def _home(request: HttpRequest) -> HttpResponse:
    request.current_app = admin.site.name  # RQ's links ask for it
    return render(request, "django_rq/stats.html", {**each_context(request), "queues": statistics()})


def statistics() -> list[dict[str, Any]]:
    """RQ's own table, filled from the record."""
    indexes = get_queues_map()  # by which RQ's links name queues
    return [_statistics(indexes[row["name"]], row) for row in queue_rows() if row["name"] in indexes]


def _statistics(index: int, row: dict[str, Any]) -> dict[str, Any]:
    counts = row["counts"]
    oldest = Job.objects.filter(queue=row["name"], status=Status.QUEUED).order_by("pk").first()
    return {
        "name": row["name"],
        "index": index,
        "jobs": counts[Status.QUEUED],
        "oldest_job_timestamp": f"{oldest.created_at:%Y-%m-%d, %H:%M:%S}" if oldest else "-",
        "workers": row["workers"],
        "finished_jobs": counts[Status.COMPLETED],
        "started_jobs": counts[Status.RUNNING],
        "deferred_jobs": counts[Status.PENDING],
        "failed_jobs": counts[Status.DEAD],
        "scheduled_jobs": counts[Status.SCHEDULED],
        "scheduler_pid": False,
        "connection_kwargs": {},
    }


def _workers(request: HttpRequest, queue_index: int) -> HttpResponse:
    from jobs.rq import RecordedWorker  # which sets Django up for RQ's command line, and Django loads this module

    request.current_app = admin.site.name
    queue = get_queue_by_index(queue_index)
    workers = RecordedWorker.all(queue=queue)
    context = {**each_context(request), "queue": queue, "queue_index": queue_index, "workers": workers}
    return render(request, "django_rq/workers.html", context)


def _jobs(queue_index: int, status: Status) -> HttpResponse:
    name = get_queue_by_index(queue_index).name
    return redirect(f"{reverse('admin:jobs_job_changelist')}?queue={name}&status__exact={status.value}")


def _one_job(request: HttpRequest, queue_index: int, job_id: str = "", **_: Any) -> HttpResponse:
    """The job's own page. Nothing is done to jobs from here: the queue's own admin does it, and audits it."""
    if request.method != "GET":
        raise PermissionDenied("jobs are acted on in the queue's own admin")
    job = find(job_id)
    return redirect("admin:jobs_job_change", job.pk) if job else redirect("admin:jobs_job_changelist")
