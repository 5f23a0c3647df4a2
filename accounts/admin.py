"""Tokens can be made and revoked here; the audit log can be read."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import HttpRequest

from accounts import tokens
from accounts.models import ApiToken, AuditEntry, Scope


class TokenForm(forms.ModelForm[ApiToken]):
    scopes = forms.MultipleChoiceField(choices=Scope.choices, initial=Scope.values, widget=forms.CheckboxSelectMultiple)

    class Meta:
        model = ApiToken
        fields = ("user", "name", "scopes", "expires_at")


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin[ApiToken]):
    form = TokenForm
    list_display = ("name", "user", "prefix", "scopes", "last_used_at", "expires_at", "revoked_at")
    list_filter = ("revoked_at", "user")
    search_fields = ("name", "prefix", "user__username")
    readonly_fields = ("prefix", "created_at", "last_used_at", "revoked_at")
    actions = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:
        return ("user", "name", "scopes", "expires_at", *(self.readonly_fields if obj else ()))

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        """A token is made and revoked, never edited; the action needs the permission on the list."""
        return obj is None and super().has_change_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        assert isinstance(request.user, User)
        token, raw = tokens.issue(
            obj.user, obj.name, form.cleaned_data["scopes"], expires_at=obj.expires_at, by=request.user
        )
        obj.pk = token.pk
        messages.warning(request, f"The token, shown this once: {raw}")

    @admin.action(description="Revoke selected tokens", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: Any) -> None:
        assert isinstance(request.user, User)
        revoked = sum(tokens.revoke(token, by=request.user) for token in queryset.select_related("user"))
        messages.success(request, f"{revoked} revoked.")


@admin.register(AuditEntry)
class AuditEntryAdmin(admin.ModelAdmin[AuditEntry]):
    list_display = ("at", "actor_label", "action", "target_type", "target_id")
    list_filter = ("action", "at")
    search_fields = ("actor_label", "target_id")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return False
