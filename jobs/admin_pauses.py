"""Pausing and resuming queues and workers in the admin: one page with all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from accounts.permissions import may
from jobs import listing
from jobs.admin import ReadOnly
from jobs.errors import QueueError
from jobs.models import QueueControl
from jobs.models_operating import ControlKind
from jobs.operations import queues
from jobs.operations.operator import Operator

VERBS: dict[tuple[str, str], Callable[..., QueueControl]] = {
    ("queue", "pause"): queues.pause_queue,
    ("queue", "resume"): queues.resume_queue,
    ("worker", "pause"): queues.pause_worker,
    ("worker", "resume"): queues.resume_worker,
}


@admin.register(QueueControl)
class QueueControlAdmin(ReadOnly, admin.ModelAdmin[QueueControl]):
    """Every queue and live worker, since when and by whom it is paused, and a button."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self._say(request)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Queues and workers",
            "rows": _rows(),
            "may_pause": may(cast(User, request.user), "pause", QueueControl()),
        }
        return TemplateResponse(request, "admin/jobs/queuecontrol/change_list.html", context)

    def _say(self, request: HttpRequest) -> HttpResponse:
        user = cast(User, request.user)
        if not may(user, "pause", QueueControl()):
            raise PermissionDenied
        kind, name, verb = (request.POST.get(field, "") for field in ("kind", "name", "verb"))
        try:
            VERBS[kind, verb](name, by=Operator(user=user, via="admin"))
        except KeyError:
            messages.error(request, "Say what to pause or to resume.")
        except QueueError as error:
            messages.error(request, f"{error.detail[:1].upper()}{error.detail[1:]}.")
        else:
            messages.success(request, f"The {kind} {name} is {verb}d.")
        return redirect("admin:jobs_queuecontrol_changelist")


def _rows() -> list[dict[str, Any]]:
    """Every queue and worker that runs, and those workers that are paused and gone."""
    said = {(row.kind, row.name): row for row in QueueControl.objects.select_related("paused_by")}
    names = [(ControlKind.QUEUE, row["name"]) for row in listing.queue_rows()]
    live = [(ControlKind.WORKER, row["name"]) for row in listing.worker_rows()]
    gone = [(kind, name) for (kind, name), row in said.items() if row.paused_at and (kind, name) not in [*names, *live]]
    return [
        {"kind": kind, "name": name, "said": said.get((kind, name)), "gone": (kind, name) in gone}
        for kind, name in [*names, *live, *gone]
    ]
