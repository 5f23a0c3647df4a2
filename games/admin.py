"""Games and their members are set up here. What happens in them is changed by acting, not by editing rows."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from accounts.permissions import may
from games import story_events
from games.models import Chapter, Game, Happened, Membership, Scenario, Turn
from games.scenarios import operations
from games.scenarios.document import Document
from games.scenarios.reading import WrongScenario, read_scenario
from jobs.errors import Conflict
from jobs.operations.operator import Operator
from jobs.state_schema import breaches
from jobs.typed_json import TypedJson

MOST_SHOWN = 100


class ReadOnly:
    """Rows that are looked at."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class MembershipForm(forms.ModelForm[Membership]):
    """In an inline Django holds rows to no constraint that the game is part of: who was added meanwhile, as by a form
    that was sent twice, would be refused by the database."""

    def validate_unique(self) -> None:
        super().validate_unique()
        try:
            self.instance.validate_constraints()
        except ValidationError as error:
            self.add_error(None, error)


class MembershipInline(admin.TabularInline[Membership, Game]):
    model = Membership
    form = MembershipForm
    extra = 1
    readonly_fields = ("seen_at",)


class GameForm(forms.ModelForm[Game]):
    """A scenario gives the opening and the state where none are typed."""

    opening = forms.CharField(
        widget=forms.Textarea, required=False, help_text=Game._meta.get_field("opening").help_text
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if scenario := data.get("scenario"):
            self._fill(data, scenario.document)
        if not data.get("opening"):
            self.add_error("opening", "Write one, or choose a scenario that has one.")
        return data

    def _fill(self, data: dict[str, Any], document: Document) -> None:
        """A state that is typed has to keep to the scenario's schema, as its own does."""
        data["opening"] = data.get("opening") or document.opening
        data["state"] = data.get("state") or document.state
        if wrong := breaches(data["state"], document.state_schema):
            self.add_error("state", [": ".join(filter(None, breach)) for breach in wrong])


@admin.register(Game)
class GameAdmin(admin.ModelAdmin[Game]):
    """The state is given when a game is made; afterwards DMs change it by their actions."""

    form = GameForm
    formfield_overrides = {models.JSONField: {"form_class": TypedJson}}
    change_form_template = "admin/games/game/change_form.html"

    list_display = ("name", "turn", "decisions", "decision_seconds", "created_at")
    list_filter = ("decisions",)
    search_fields = ("name", "id")
    fields = (
        "name",
        "scenario",
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
        return always if obj is None else (*always, "state", "scenario")

    def get_urls(self) -> list[URLPattern]:
        own = path(
            "<uuid:game_id>/story-events/",
            self.admin_site.admin_view(self.story_events),
            name="games_game_story_events",
        )
        return [own, *super().get_urls()]

    def story_events(self, request: HttpRequest, game_id: Any) -> HttpResponse:
        """The events of the story that wait to be told; all of them can be called off."""
        user = cast(User, request.user)
        if not may(user, "view", Happened()) or (request.method == "POST" and not may(user, "change", Happened())):
            raise PermissionDenied
        game = get_object_or_404(Game.objects.select_related("scenario"), pk=game_id)
        if request.method == "POST":
            count = story_events.clear(game, by=Operator(user=user, via="admin"))
            messages.success(request, f"{count} called off.")
            return redirect("admin:games_game_story_events", game.pk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Story events that wait in {game}",
            "game": game,
            "count": story_events.waiting(game).count(),
            "items": story_events.peek(game, limit=MOST_SHOWN),
            "happened": game.happened.order_by("-at")[:MOST_SHOWN],
            "may_clear": may(user, "change", Happened()),
        }
        return TemplateResponse(request, "admin/games/game/story_events.html", context)

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


@admin.register(Chapter)
class ChapterAdmin(ReadOnly, admin.ModelAdmin[Chapter]):
    list_display = ("game", "number", "title", "first_turn", "last_turn", "at")
    list_filter = ("game",)
    search_fields = ("title", "text", "request")
    list_select_related = ("game",)
    ordering = ("-id",)


class ScenarioForm(forms.ModelForm[Scenario]):
    """A file that is chosen, or a text that is typed; each mistake is told with its line."""

    source = forms.CharField(widget=forms.Textarea(attrs={"rows": 40, "spellcheck": "false"}), required=False)
    file = forms.FileField(required=False, help_text="Instead of the text: a file in YAML or JSON.")

    class Meta:
        model = Scenario
        fields = ("source",)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        try:
            data["source"] = self._text(data)
            self.instance.name = read_scenario(data["source"]).name
        except UnicodeDecodeError:
            self.add_error("file", "The file is not UTF-8.")
        except WrongScenario as error:
            self.add_error("source", [str(line) for line in error.lines])
        return data

    @staticmethod
    def _text(data: dict[str, Any]) -> str:
        text: str = data["file"].read().decode() if data.get("file") else data.get("source", "")
        return text.replace("\r\n", "\n")


@admin.register(Scenario)
class ScenarioAdmin(admin.ModelAdmin[Scenario]):
    """To edit one is to add its next version: games go on with the one they began with."""

    form = ScenarioForm
    change_form_template = "admin/games/scenario/change_form.html"
    list_display = ("name", "version", "created_at")
    search_fields = ("name",)

    def get_fields(self, request: HttpRequest, obj: Scenario | None = None) -> tuple[str, ...]:
        return ("file", "source") if obj is None else ("name", "version", "created_at", "source")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """The text to go on from, for the next version."""
        of = request.GET.get("of", "")
        before = Scenario.objects.filter(pk=int(of)).first() if of.isdecimal() and len(of) < 18 else None
        return {"source": before.source} if before else {}

    def has_change_permission(self, request: HttpRequest, obj: Scenario | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Scenario | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Scenario, form: Any, change: bool) -> None:
        by = Operator(user=cast(User, request.user), via="admin")
        try:
            kept = operations.load(source=form.cleaned_data["source"], by=by)
        except Conflict as error:
            messages.error(request, error.detail)
            kept = Scenario.objects.filter(name=obj.name).latest("version")
        obj.pk, obj.version = kept.pk, kept.version


@admin.register(Happened)
class HappenedAdmin(ReadOnly, admin.ModelAdmin[Happened]):
    list_display = ("game", "event", "times", "last_turn", "at")
    list_filter = ("game",)
    search_fields = ("event", "request")
    list_select_related = ("game",)
    ordering = ("-at",)
