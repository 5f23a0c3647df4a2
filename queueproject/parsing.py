"""Request bodies as the database can keep them: real JSON, real Unicode."""

import json
from typing import Any, cast

from django.http import HttpRequest
from ninja.parser import Parser

from jobs.storable import unstorable


class UnusableText(ValueError):
    """Something that PostgreSQL can't store; ``path`` says where it stands, ``why`` what it is."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


class StrictParser(Parser):
    """JSON by the letter, without Python's ``NaN`` and ``Infinity``. ``ValueError`` for anything else."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        body = json.loads(request.body, parse_constant=_refuse_constant)
        for path, why in unstorable(body):
            raise UnusableText(path, why)
        return cast(dict[str, Any], body)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
