"""The HTTP API at /v1/. Every room's router holds full paths below it."""

from ninja import NinjaAPI

import accounts.api
import approvals.api
import games.api
import jobs.api
from queueproject import errors
from queueproject.parsing import StrictParser

api = NinjaAPI(title="queueproject", version="1", urls_namespace="v1", parser=StrictParser())
errors.register(api)
for room in (games.api, jobs.api, approvals.api, accounts.api):
    api.add_router("", room.router)
