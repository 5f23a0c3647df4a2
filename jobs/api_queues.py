"""Queues and workers over HTTP: how they stand, and what operators say about them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, PathEx, Schema

from accounts.authentication import CAN_OPERATE, CAN_READ
from jobs import listing, states
from jobs.api_adding import Seconds
from jobs.api_operator import Name, operator, router
from jobs.errors import Invalid
from jobs.models import QueueControl
from jobs.operations import queues, upkeep


class CleanIn(Schema, extra="forbid"):
    statuses: list[states.Status] = Field(min_length=1)
    older_than_seconds: Seconds


class Counted(Schema):
    count: int


class QueueRow(Schema):
    name: str
    paused_at: datetime | None
    workers: int
    slots: int
    counts: dict[str, int] = Field(description="How many of its jobs have each status.")


class Queues(Schema):
    items: list[QueueRow]


class WorkerRow(Schema):
    name: str
    queues: list[str]
    slots: int
    lost_slots: int
    busy: int
    started_at: datetime
    beat_at: datetime
    paused_at: datetime | None


class Workers(Schema):
    items: list[WorkerRow]


class PauseOut(Schema):
    name: str
    paused_at: datetime | None


@router.get("/ops/queues", response=Queues, auth=CAN_READ)
def list_queues(request: HttpRequest) -> dict[str, Any]:
    """Every queue with its counts, and who serves it."""
    operator(request, "view", QueueControl())
    return {"items": listing.queue_rows()}


@router.post("/ops/queues/{name}/pause", response=PauseOut, auth=CAN_OPERATE)
def pause_queue(request: HttpRequest, name: PathEx[str, Name]) -> QueueControl:
    """No worker takes its jobs, until it is resumed. What runs goes on."""
    return queues.pause_queue(name, by=operator(request, "pause", QueueControl()))


@router.post("/ops/queues/{name}/resume", response=PauseOut, auth=CAN_OPERATE)
def resume_queue(request: HttpRequest, name: PathEx[str, Name]) -> QueueControl:
    """Workers take its jobs again."""
    return queues.resume_queue(name, by=operator(request, "pause", QueueControl()))


@router.post("/ops/queues/{name}/drain", response=Counted, auth=CAN_OPERATE)
def drain_queue(request: HttpRequest, name: PathEx[str, Name]) -> dict[str, int]:
    """Call off every request of which a job waits here for its first start."""
    by = operator(request, "drain", QueueControl())
    return {"count": upkeep.drain(queues.known_queue(name), by=by)}


@router.post("/ops/queues/{name}/clean", response=Counted, auth=CAN_OPERATE)
def clean_queue(request: HttpRequest, name: PathEx[str, Name], body: CleanIn) -> dict[str, int]:
    """Delete its requests that ended so long ago."""
    by = operator(request, "clean", QueueControl())
    if wrong := sorted(set(body.statuses) - states.FINAL):
        raise Invalid("only what has ended is cleaned", fields={"statuses": f"not final: {', '.join(wrong)}"})
    found = queues.known_queue(name)
    count = upkeep.clean(found, statuses=body.statuses, older_than_seconds=body.older_than_seconds, by=by)
    return {"count": count}


@router.get("/ops/workers", response=Workers, auth=CAN_READ)
def list_workers(request: HttpRequest) -> dict[str, Any]:
    """The workers that are alive."""
    operator(request, "view", QueueControl())
    return {"items": listing.worker_rows()}


@router.post("/ops/workers/{name}/pause", response=PauseOut, auth=CAN_OPERATE)
def pause_worker(request: HttpRequest, name: PathEx[str, Name]) -> QueueControl:
    """It takes no jobs, until it is resumed. What runs goes on."""
    return queues.pause_worker(name, by=operator(request, "pause", QueueControl()))


@router.post("/ops/workers/{name}/resume", response=PauseOut, auth=CAN_OPERATE)
def resume_worker(request: HttpRequest, name: PathEx[str, Name]) -> QueueControl:
    """It takes jobs again."""
    return queues.resume_worker(name, by=operator(request, "pause", QueueControl()))
