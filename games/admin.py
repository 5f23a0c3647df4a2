"""Games and their members are set up here. What happens in them is changed by acting, not by editing rows."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from games.models import Game, Membership, Turn


class ReadOnly:
    """Rows that are looked at."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class MembershipInline(admin.TabularInline[Membership, Game]):
    model = Membership
    extra = 1
    readonly_fields = ("seen_at",)


@admin.register(Game)
class GameAdmin(admin.ModelAdmin[Game]):
    """The state is given when a game is made; afterwards DMs change it by their actions."""

    list_display = ("name", "turn", "decisions", "decision_seconds", "created_at")
    list_filter = ("decisions",)
    search_fields = ("name", "id")
    fields = (
        "name",
        "opening",
        "state",
        ("state_version", "turn", "created_at"),
        "decisions",
        "decision_seconds",
        ("decision_default", "decision_default_reason"),
        "undo_seconds",
    )
    inlines = (MembershipInline,)

    def get_readonly_fields(self, request: HttpRequest, obj: Game | None = None) -> tuple[str, ...]:
        always = ("state_version", "turn", "created_at")
        return always if obj is None else (*always, "state")

    def has_delete_permission(self, request: HttpRequest, obj: Game | None = None) -> bool:
        """Its requests, decisions and audit entries would point nowhere."""
        return False


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin[Membership]):
    list_display = ("user", "game", "role", "seen_at")
    list_filter = ("role", "game")
    search_fields = ("user__username", "game__name")
    list_select_related = ("user", "game")


@admin.register(Turn)
class TurnAdmin(ReadOnly, admin.ModelAdmin[Turn]):
    list_display = ("game", "number", "kind", "actor", "at")
    list_filter = ("game", "kind")
    search_fields = ("action", "narration", "request")
    list_select_related = ("game", "actor")
    ordering = ("-id",)
