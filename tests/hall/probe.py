"""A small API with the real error handlers and callers, whose routes fail in every way there is."""

from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest
from django.urls import path
from ninja import Body, NinjaAPI, Schema
from pydantic import Field

from accounts.authentication import CAN_DECIDE, CAN_PLAY, CAN_READ
from jobs.errors import Conflict, Invalid, NotFound, Refused
from queueproject import errors
from queueproject.parsing import StrictParser

api = NinjaAPI(urls_namespace="probe", parser=StrictParser())
errors.register(api)

FAILURES: dict[str, Exception] = {
    "not_found": NotFound("no such game"),
    "taken": Conflict("too late", code="already_decided", by="dm", version=2),
    "invalid": Invalid("wrong", fields={"text": "is empty"}),
    "refused": Refused("too many", retry_after=1.2),
    "denied": PermissionDenied("not yours"),
    "missing": Http404("secret reason"),
    "database": OperationalError("connection refused at 10.0.0.1"),
    "bug": ZeroDivisionError("secret"),
}


class Change(Schema):
    path: str = Field(min_length=1)


class Action(Schema):
    text: str = Field(min_length=1, max_length=10)
    changes: list[Change] = []


@api.get("/fail/{name}")
def fail(request: HttpRequest, name: str) -> None:
    raise FAILURES[name]


@api.post("/echo")
def echo(request: HttpRequest, action: Body[Action], times: int = 1) -> dict[str, str]:
    return {"text": action.text * times}


@api.get("/read", auth=CAN_READ)
def read(request: HttpRequest) -> dict[str, str]:
    return {"user": request.user.get_username()}


@api.post("/play", auth=CAN_PLAY)
def play(request: HttpRequest) -> dict[str, str]:
    return {"user": request.user.get_username()}


@api.post("/decide", auth=CAN_DECIDE)
def decide(request: HttpRequest) -> dict[str, str]:
    return {"user": request.user.get_username()}


urlpatterns = [path("v1/", api.urls)]
