"""Approvals with their history, to be read. Decisions are taken in the decision queue, never by editing a row."""

from __future__ import annotations

from django.contrib import admin

from approvals.models import Approval, ApprovalDecision, ApprovalVersion
from jobs.admin import ReadOnly


class Versions(ReadOnly, admin.StackedInline[ApprovalVersion, Approval]):
    model = ApprovalVersion
    fields = ("number", "reason", "at", "candidates")
    extra = 0


class Decisions(ReadOnly, admin.StackedInline[ApprovalDecision, Approval]):
    model = ApprovalDecision
    fields = ("version", "kind", "decision", "by_label", "at", "text", "changes", "reason", "regenerate", "diff")
    extra = 0


@admin.register(Approval)
class ApprovalAdmin(ReadOnly, admin.ModelAdmin[Approval]):
    list_display = (
        "id",
        "scope",
        "kind",
        "requester",
        "status",
        "version",
        "due_at",
        "decision",
        "decision_kind",
        "decided_by",
        "decided_at",
    )
    list_filter = ("status", "decision", "decision_kind", "kind")
    search_fields = ("=id", "=request", "action", "requester__username", "decided_by__username")
    list_select_related = ("scope", "requester", "decided_by", "job")
    ordering = ("-id",)
    show_full_result_count = False
    inlines = (Versions, Decisions)
