"""Settings of queues and limits of concurrency keys, changed here without a restart; incidents, to be read."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts import audit
from jobs import limits, queue_settings
from jobs.admin import ReadOnly
from jobs.models import Job
from jobs.models_limits import Limit
from jobs.models_metrics import Incident, QueueSettings
from jobs.operations import admitting
from jobs.operations.asking import CONCURRENCY_KEY

audit.register_action("queue_settings.changed")
audit.register_action("queue_settings.removed")
audit.register_action("limit.changed")
audit.register_action("limit.removed")


class QueueSettingsForm(forms.ModelForm[QueueSettings]):
    queue = forms.ChoiceField(choices=lambda: [(name, name) for name in settings.RQ_QUEUES])

    class Meta:
        model = QueueSettings
        fields = ("queue", *queue_settings.FIELDS)

    def clean(self) -> dict[str, Any]:
        """Two limits that contradict each other would silently be the smaller one."""
        data = super().clean() or {}
        first, cap = data.get("backoff_seconds"), data.get("backoff_cap_seconds")
        if first is not None and cap is not None and first > cap:
            self.add_error("backoff_cap_seconds", "The longest wait is shorter than the first.")
        return data


@admin.register(QueueSettings)
class QueueSettingsAdmin(admin.ModelAdmin[QueueSettings]):
    """One row for each queue that is to differ. It holds in every process after QUEUE_SETTINGS_SECONDS."""

    form = QueueSettingsForm
    list_display = ("queue", *queue_settings.FIELDS)

    def get_readonly_fields(self, request: HttpRequest, obj: QueueSettings | None = None) -> Any:
        return ("queue",) if obj else ()

    def save_model(self, request: HttpRequest, obj: QueueSettings, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        said = {name: getattr(obj, name) for name in queue_settings.FIELDS}
        self._note("queue_settings.changed", request, obj, **said)

    def delete_model(self, request: HttpRequest, obj: QueueSettings) -> None:
        self._note("queue_settings.removed", request, obj)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for obj in queryset:
            self.delete_model(request, obj)

    def _note(self, action: str, request: HttpRequest, obj: QueueSettings, **data: Any) -> None:
        assert isinstance(request.user, User)
        audit.record(action, actor=request.user, on=obj, queue=obj.queue, **data)
        queue_settings.forget()


class LimitForm(forms.ModelForm[Limit]):
    class Meta:
        model = Limit
        fields = ("key", "concurrency")

    def clean_key(self) -> str:
        key: str = self.cleaned_data["key"]
        if not CONCURRENCY_KEY.fullmatch(key):
            raise forms.ValidationError("Names parted by /, each of letters, digits and .:_- , as in openai/gpt-5.")
        return key


@admin.register(Limit)
class LimitAdmin(admin.ModelAdmin[Limit]):
    """How many jobs of a concurrency key are under way at once. A queue's own limit is in its settings."""

    form = LimitForm
    list_display = ("key", "concurrency", "under_way", "held_back")
    ordering = ("key",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Limit]:
        return super().get_queryset(request).exclude(key__startswith=limits.QUEUE)

    def get_readonly_fields(self, request: HttpRequest, obj: Limit | None = None) -> Any:
        return ("key",) if obj else ()

    @admin.display(description="Under way")
    def under_way(self, obj: Limit) -> int:
        return admitting.held([obj.key])[obj.key]

    @admin.display(description="Held back")
    def held_back(self, obj: Limit) -> int:
        return Job.objects.filter(held_back_by=obj.key).count()

    def save_model(self, request: HttpRequest, obj: Limit, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        self._note("limit.changed", request, obj)

    def delete_model(self, request: HttpRequest, obj: Limit) -> None:
        self._note("limit.removed", request, obj)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for obj in queryset:
            self.delete_model(request, obj)

    def _note(self, action: str, request: HttpRequest, obj: Limit) -> None:
        assert isinstance(request.user, User)
        audit.record(action, actor=request.user, on=obj, key=obj.key, concurrency=obj.concurrency)
        queue_settings.forget()


@admin.register(Incident)
class IncidentAdmin(ReadOnly, admin.ModelAdmin[Incident]):
    """What called for attention, and until when."""

    list_display = ("opened_at", "alert", "subject", "detail", "closed_at")
    list_filter = ("alert", "closed_at")
    ordering = ("-pk",)
