"""Request bodies as the database can keep them: real JSON, real Unicode."""

import json
from typing import Any, cast

from django.http import HttpRequest
from ninja.parser import Parser

UNUSABLE = "contains characters that can't be kept: NUL or half of a surrogate pair"


class UnusableText(ValueError):
    """A string that PostgreSQL can't store; ``path`` says where it stands."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}: {UNUSABLE}")
        self.path = path


class StrictParser(Parser):
    """JSON by the letter, without Python's ``NaN`` and ``Infinity``. ``ValueError`` for anything else."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        body = json.loads(request.body, parse_constant=_refuse_constant)
        _check(body, "")
        return cast(dict[str, Any], body)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check(value: object, path: str) -> None:
    if isinstance(value, str):
        if not _is_usable(value):
            raise UnusableText(path)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check(key, path)
            _check(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check(item, f"{path}.{index}" if path else str(index))


def _is_usable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
