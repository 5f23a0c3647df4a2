"""Settings of queues, changed here without a restart; incidents, to be read."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest

from accounts import audit
from jobs import queue_settings
from jobs.admin import ReadOnly
from jobs.models_metrics import Incident, QueueSettings

audit.register_action("queue_settings.changed")
audit.register_action("queue_settings.removed")

FIELDS = ("timeout_seconds", "max_attempts", "backoff_seconds", "backoff_cap_seconds", "keep_seconds")


class QueueSettingsForm(forms.ModelForm[QueueSettings]):
    queue = forms.ChoiceField(choices=lambda: [(name, name) for name in settings.RQ_QUEUES])

    class Meta:
        model = QueueSettings
        fields = ("queue", *FIELDS)

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
    list_display = ("queue", *FIELDS)

    def get_readonly_fields(self, request: HttpRequest, obj: QueueSettings | None = None) -> Any:
        return ("queue",) if obj else ()

    def save_model(self, request: HttpRequest, obj: QueueSettings, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        self._note("queue_settings.changed", request, obj, **{name: getattr(obj, name) for name in FIELDS})

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


@admin.register(Incident)
class IncidentAdmin(ReadOnly, admin.ModelAdmin[Incident]):
    """What called for attention, and until when."""

    list_display = ("opened_at", "alert", "subject", "detail", "closed_at")
    list_filter = ("alert", "closed_at")
    ordering = ("-pk",)
