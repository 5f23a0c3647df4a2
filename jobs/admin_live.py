"""What changes on a job's page while its handler runs: where it stands, its progress, the end of its log.

Its script is told by the job's own stream (``jobs.sse_job``) when that is not new any more.
"""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path

from jobs.models import Job
from jobs.rules import may_inspect
from jobs.why import why_waiting

LINES = 50


class JobLive(admin.ModelAdmin[Job]):
    """The part of the page that its script fetches when it has changed; without the script it is as old as the page."""

    def get_urls(self) -> list[URLPattern]:
        live = path("<int:job_id>/live/", self.admin_site.admin_view(self.live), name="jobs_job_live")
        return [live, *super().get_urls()]

    def live(self, request: HttpRequest, job_id: int) -> HttpResponse:
        """The fragment."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        job = get_object_or_404(Job, pk=job_id)
        return render(request, "admin/jobs/job/_live.html", self._now(request, job))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        job = self.get_object(request, object_id)
        now = self._now(request, job) if job and self.has_view_permission(request) else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **now})

    def _now(self, request: HttpRequest, job: Job) -> dict[str, Any]:
        found: dict[str, Any] = {"job": job, "why": why_waiting(job)}
        if may_inspect(request.user):
            found["progress"] = json.dumps(job.progress, ensure_ascii=False) if job.progress else ""
            found["lines"] = list(job.logs.order_by("-pk")[:LINES])[::-1]
        return found
