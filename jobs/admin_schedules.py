"""Schedules in the admin: made, changed, paused and run here, through the same operations as over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobs import registry
from jobs.admin import ReadOnly
from jobs.errors import Invalid, QueueError
from jobs.models_schedules import Schedule, ScheduleTick
from jobs.operations import schedules
from jobs.recurrence import zones
from jobs.schedules import Spec
from jobs.typed_json import TypedJson

UPCOMING = 5
TICKS = 20
FIELDS = tuple(Spec.model_fields)


class ScheduleForm(forms.ModelForm[Schedule]):
    """What ``Spec`` refuses is said at the field it concerns."""

    job_type = forms.ChoiceField()
    time_zone = forms.ChoiceField(initial="UTC")

    class Meta:
        model = Schedule
        fields = ("name", *FIELDS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "job_type" in self.fields:  # Not on the page of someone who may only look.
            self._offer("job_type", set(registry.askable()))
            self._offer("time_zone", set(zones()))

    def _offer(self, name: str, known: set[str]) -> None:
        """What is known, and what stands: a job type may be gone, and its schedule must stay legible."""
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        standing = {getattr(self.instance, name)} - {""}
        field.choices = [(value, value) for value in sorted(known | standing)]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not self.errors:
            try:
                standing = None if self.instance._state.adding else self.instance
                schedules.checked_for_staff({name: data[name] for name in FIELDS}, standing=standing)
            except Invalid as error:
                for path, reason in error.extra["fields"].items():
                    self._complain(path, reason)
        return data

    def _complain(self, path: str, reason: str) -> None:
        field, _, inside = path.partition(".")
        self.add_error(field if field in self.fields else None, f"{inside}: {reason}" if inside else reason)


class TickInline(ReadOnly, admin.TabularInline[ScheduleTick, Schedule]):
    model = ScheduleTick
    verbose_name_plural = "what became of the latest ticks"
    fields = ("at", "manual", "outcome", "detail", "request")
    readonly_fields = ("request",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScheduleTick]:
        return super().get_queryset(request).select_related("job")

    def get_formset(self, request: HttpRequest, obj: Schedule | None = None, **kwargs: Any) -> Any:
        """Only the latest: a schedule of every second has very many."""
        formset = super().get_formset(request, obj, **kwargs)

        class Latest(formset):  # type: ignore[misc, valid-type]
            def get_queryset(self) -> QuerySet[ScheduleTick]:
                latest: QuerySet[ScheduleTick] = super().get_queryset().order_by("-pk")[:TICKS]
                return latest

        return Latest

    @admin.display(description="job")
    def request(self, tick: ScheduleTick) -> SafeString | str:
        if tick.job is None:
            return "none"
        return format_html('<a href="{}">{}</a>', reverse("admin:jobs_job_change", args=[tick.job_id]), tick.job)


@admin.register(Schedule)
class ScheduleAdmin(admin.ModelAdmin[Schedule]):
    form = ScheduleForm
    formfield_overrides = {models.JSONField: {"form_class": TypedJson}}
    list_display = ("name", "job_type", "when", "next_at", "state")
    list_filter = ("job_type", "overlap", ("paused_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "job_type")
    readonly_fields = ("state", "upcoming_ticks")
    actions = ("run_now", "pause", "resume", "reset")
    inlines = (TickInline,)

    def get_fields(self, request: HttpRequest, obj: Schedule | None = None) -> Any:
        return ("name", *FIELDS, *(self.readonly_fields if obj else ()))

    def get_readonly_fields(self, request: HttpRequest, obj: Schedule | None = None) -> Any:
        return ("name", *self.readonly_fields) if obj else self.readonly_fields

    def has_delete_permission(self, request: HttpRequest, obj: Schedule | None = None) -> bool:
        """What the code declares would come back: it can be paused."""
        kept = obj is not None and obj.declared is not None and obj.retired_at is None
        return not kept and super().has_delete_permission(request, obj)

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.run_schedule")

    def has_pause_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.pause_schedule")

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """When somebody else got there first, the form is looked at once more, and says so at the field."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except QueueError:
            return super().changeform_view(request, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Schedule, form: Any, change: bool) -> None:
        fields = {name: form.cleaned_data[name] for name in FIELDS}
        if change:
            schedules.change(name=obj.name, fields=fields, by=_user(request))
        else:
            obj.pk = schedules.create(name=obj.name, fields=fields, by=_user(request)).pk

    def delete_model(self, request: HttpRequest, obj: Schedule) -> None:
        schedules.delete(name=obj.name, by=_user(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        self._each(request, queryset, schedules.delete, "deleted")

    @admin.display(description="when")
    def when(self, schedule: Schedule) -> str:
        if schedule.interval_seconds is not None:
            return f"every {schedule.interval_seconds} s"
        return f"{schedule.cron} {schedule.time_zone}"

    @admin.display(description="state")
    def state(self, schedule: Schedule) -> str:
        if schedule.retired_at is not None:
            return "dropped by the code"
        if schedule.paused_at is not None:
            return "paused"
        return "ticks" if schedule.next_at is not None else "over"

    @admin.display(description="next ticks")
    def upcoming_ticks(self, schedule: Schedule) -> str:
        zone = ZoneInfo(schedule.time_zone)
        ticks = islice(schedule.upcoming(), UPCOMING)
        return ", ".join(at.astimezone(zone).strftime("%a %Y-%m-%d %H:%M:%S %Z") for at in ticks) or "none"

    @admin.action(description="Run selected schedules now", permissions=["run"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        self._each(request, queryset, schedules.run, "run")

    @admin.action(description="Pause selected schedules", permissions=["pause"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        self._each(request, queryset, schedules.pause, "paused")

    @admin.action(description="Resume selected schedules", permissions=["pause"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        self._each(request, queryset, schedules.resume, "resumed")

    @admin.action(description="Reset selected schedules to what the code says", permissions=["change"])
    def reset(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        self._each(request, queryset, schedules.reset, "reset")

    def _each(self, request: HttpRequest, queryset: QuerySet[Schedule], verb: Callable[..., Any], done: str) -> None:
        names = list(queryset.values_list("name", flat=True))
        for name in names:
            try:
                verb(name=name, by=_user(request))
            except QueueError as error:
                messages.error(request, f"Schedule {name}: {error.detail}")
            else:
                messages.success(request, f"Schedule {name}: {done}.")


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
