"""Who operates over HTTP, as every operators' endpoint asks first."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpRequest
from ninja import P, Router

from accounts.permissions import may
from jobs.errors import Forbidden, NotFound
from jobs.operations.operator import Operator

router = Router(tags=["operating"])
"""All operators' endpoints are on this one: ninja answers one address from one router only."""

Name = P(max_length=200, pattern=r"^[^\x00]*$")
"""What queues, workers and causes may be called in an address."""


def operator(request: HttpRequest, action: str, on: Model) -> Operator:
    """The caller, if they may do this to things of this kind; asked first, so that strangers learn nothing."""
    user = cast(User, request.user)
    if may(user, action, on):
        return Operator(user=user, via="api")
    if may(user, "view", on):
        raise Forbidden(f"this needs the right jobs.{action}_{on._meta.model_name}")
    raise NotFound("there is nothing here")
