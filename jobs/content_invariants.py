"""What must hold of what is kept in rows: nothing is larger than it may be, and no secret of ours is among it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from django.apps import apps
from django.conf import settings
from django.db.models import CharField, JSONField, Model, Q, TextField
from django.db.models.functions import Cast, Length

from jobs.invariants import MOST_ROWS, Row
from jobs.models import Job
from jobs.models_steps import JobLog, JobStep

REWRITTEN = 2
"""PostgreSQL writes JSON in its own way, which may take more room than what was measured."""

FEWEST_CHARACTERS = 8
"""A shorter secret would be found by chance."""


def nothing_is_too_large() -> list[Row]:
    """Payloads, results, errors, progress, steps and lines of logs are no longer than the settings allow.

    What was written when more was allowed shows until it is cleaned up.
    """
    most = settings.CONFIG.payload_bytes * REWRITTEN
    found = [row for column in ("payload", "result", "error", "progress") for row in _longer(Job, column, most)]
    found += _longer(JobStep, "result", settings.CONFIG.step_bytes * REWRITTEN)
    return (found + _longer(JobLog, "text", settings.CONFIG.log_characters))[:MOST_ROWS]


def _longer(model: type[Model], column: str, most: int) -> list[Row]:
    rows = model._default_manager.annotate(length=Length(Cast(column, TextField()))).filter(length__gt=most)
    return [_row(model, column, **row) for row in rows.values("pk", "length")[:MOST_ROWS]]


def no_secret_is_kept() -> list[Row]:
    """Nothing that is kept has a secret setting in it. The rows say which one and where, and not what it is."""
    secrets = _secrets()
    return [row for model in _ours() for row in _with_secrets(model, secrets)][:MOST_ROWS] if secrets else []


def _secrets() -> dict[str, str]:
    """The texts that must not be found, with the names of their settings; of addresses, the passwords."""
    config = settings.CONFIG
    found: dict[str, str] = {}
    for name, field in type(config).model_fields.items():
        value = "" if field.repr else str(getattr(config, name))
        secret = (urlsplit(value).password or "") if "://" in value else value
        if len(secret) >= FEWEST_CHARACTERS:
            found |= dict.fromkeys((secret, unquote(secret), json.dumps(unquote(secret))[1:-1]), name.upper())
    return found


def _ours() -> list[type[Model]]:
    return [model for model in apps.get_models() if not model.__module__.startswith("django.")]


def _with_secrets(model: type[Model], secrets: dict[str, str]) -> Iterator[Row]:
    columns = [f.name for f in model._meta.concrete_fields if isinstance(f, CharField | TextField | JSONField)]
    texts = {f"{column}_as_text": Cast(column, TextField()) for column in columns}
    anywhere = Q(pk__in=[])
    for text in texts:
        for secret in secrets:
            anywhere |= Q(**{f"{text}__contains": secret})
    for pk, *kept in model._default_manager.annotate(**texts).filter(anywhere).values_list("pk", *texts)[:MOST_ROWS]:
        for column, text in zip(columns, kept, strict=True):
            for setting in {setting for secret, setting in secrets.items() if secret in (text or "")}:
                yield _row(model, column, pk=pk, setting=setting)


def _row(model: type[Model], column: str, **found: object) -> Row:
    return {"table": model._meta.db_table, "column": column, **found}


SAFETY = (nothing_is_too_large, no_secret_is_kept)
