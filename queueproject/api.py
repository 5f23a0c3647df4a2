"""The HTTP API at /v1/. Every room's router holds full paths below it."""

from typing import Any

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

import accounts.api
import approvals.api
import games.api
import jobs.api
from queueproject import errors
from queueproject.openapi import completed
from queueproject.parsing import StrictParser


class Api(NinjaAPI):
    """Describes its errors and streams too."""

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**options)
        completed(schema)
        return schema


api = Api(title="queueproject", version="1", urls_namespace="v1", parser=StrictParser())
errors.register(api)
for room in (games.api, jobs.api, approvals.api, accounts.api):
    api.add_router("", room.router)
