"""What staff do to jobs in the admin: the operations that HTTP has too, after a page that asks whether to go on."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from accounts.permissions import may
from jobs.admin_forms import ReviveForm
from jobs.errors import QueueError
from jobs.listing import causes, dead_letters
from jobs.models import Job
from jobs.operations import bulk, operating
from jobs.operations.bulk import Act, Done
from jobs.operations.operator import Operator
from jobs.rules import may_inspect
from jobs.storable import is_storable

SHOWN = 20
"""How many of the selected jobs the page names that asks whether to go on."""


class JobActions(admin.ModelAdmin[Job]):
    """The actions on jobs, and the inbox of dead letters."""

    actions = ("cancel_jobs", "revive_jobs", "run_again")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("dead-letters/", view(self.dead_letters), name="jobs_job_dead_letters"),
            path("<int:job_id>/revive/", view(self.revive), name="jobs_job_revive"),
        ]
        return [*own, *super().get_urls()]

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return may(cast(User, request.user), "cancel", Job())

    def has_revive_permission(self, request: HttpRequest) -> bool:
        return may(cast(User, request.user), "revive", Job())

    def has_rerun_permission(self, request: HttpRequest) -> bool:
        return may(cast(User, request.user), "rerun", Job())

    @admin.action(description="Call off", permissions=["cancel"])
    def cancel_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse | None:
        return self._each(request, queryset, "cancel_jobs", "Call off", lambda pk, by: operating.cancel(pk, by=by))

    @admin.action(description="Revive: run what failed again", permissions=["revive"])
    def revive_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse | None:
        return self._each(request, queryset, "revive_jobs", "Revive", lambda pk, by: operating.revive(pk, by=by))

    @admin.action(description="Run again, as new requests", permissions=["rerun"])
    def run_again(self, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse | None:
        return self._each(request, queryset, "run_again", "Run again", lambda pk, by: operating.run_again(pk, by=by))

    def _each(
        self, request: HttpRequest, chosen: QuerySet[Job], action: str, verb: str, act: Act
    ) -> HttpResponse | None:
        """Ask first; once that is answered, do it to each."""
        ids = list(chosen.order_by("pk").values_list("pk", flat=True)[: settings.CONFIG.bulk_jobs])
        if request.POST.get("post") != "yes":
            hidden = [("action", action), *((ACTION_CHECKBOX_NAME, pk) for pk in ids)]
            return self._ask(
                request, f"{verb} {len(ids)} job(s)?", verb, hidden, Job.objects.filter(pk__in=ids[:SHOWN])
            )
        self._say(request, verb, bulk.each(ids, act, by=_operator(request)))
        return None

    def dead_letters(self, request: HttpRequest) -> HttpResponse:
        """Dead requests grouped by what they died of; a few or all of a group run again."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self._revive_group(request)
        context = self._context(request, "Dead letters") | {
            "causes": causes(inspected=may_inspect(request.user)),
            "may_revive": self.has_revive_permission(request),
        }
        return TemplateResponse(request, "admin/jobs/job/dead_letters.html", context)

    def _revive_group(self, request: HttpRequest) -> HttpResponse:
        if not self.has_revive_permission(request):
            raise PermissionDenied
        fingerprint, limit = request.POST.get("fingerprint", ""), request.POST.get("limit", "")
        count = int(limit) if limit.isdecimal() and len(limit) < 10 else 0
        alike = dead_letters().filter(fingerprint=fingerprint).order_by("pk")[: min(count, settings.CONFIG.bulk_jobs)]
        if not count or not is_storable(fingerprint) or not alike:
            messages.error(request, "Say how many of them: at least 1.")
        elif request.POST.get("post") != "yes":
            hidden = [("fingerprint", fingerprint), ("limit", len(alike))]
            return self._ask(request, f"Revive {len(alike)} job(s)?", "Revive", hidden, alike[:SHOWN])
        else:
            done = bulk.revive_alike(fingerprint, limit=len(alike), by=_operator(request))
            self._say(request, "Revive", done)
        return redirect("admin:jobs_job_dead_letters")

    def revive(self, request: HttpRequest, job_id: int) -> HttpResponse:
        """One failed request, with another payload if that was the fault."""
        if not (self.has_revive_permission(request) and may_inspect(request.user)):
            raise PermissionDenied
        job = get_object_or_404(Job, pk=job_id)
        form = ReviveForm.of(job, request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                operating.revive(job.pk, by=_operator(request), payload=form.edited(job))
            except QueueError as error:
                mistakes = error.extra.get("fields") or {"": error.detail}
                form.add_error("payload", [f"{name}: {why}" if name else why for name, why in mistakes.items()])
            else:
                messages.success(request, "It runs again.")
                return redirect("admin:jobs_job_change", job.pk)
        context = self._context(request, f"Revive {job}") | {"form": form, "job": job}
        return TemplateResponse(request, "admin/jobs/job/revive.html", context)

    def _ask(
        self, request: HttpRequest, question: str, verb: str, hidden: list[tuple[str, Any]], jobs: QuerySet[Job]
    ) -> HttpResponse:
        context = self._context(request, question) | {
            "verb": verb,
            "hidden": [*hidden, ("post", "yes")],
            "jobs": list(jobs),
            "back": request.get_full_path(),
        }
        return TemplateResponse(request, "admin/jobs/job/confirm.html", context)

    def _say(self, request: HttpRequest, verb: str, done: Done) -> None:
        messages.success(request, f"{verb}: done to {done.count}.")
        for why, count in done.refused.items():
            messages.warning(request, f"Not done to {count}: {why}.")

    def _context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts, "title": title}


def _operator(request: HttpRequest) -> Operator:
    return Operator(user=cast(User, request.user), via="admin")
