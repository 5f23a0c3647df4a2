"""What people and the code do to schedules. Every change is audited; times are the database's."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from accounts import audit, permissions
from jobs.errors import Conflict, Invalid, NotFound
from jobs.events.ledger import ledger
from jobs.models import Job
from jobs.models_schedules import Schedule, is_name
from jobs.operations.asking import validated
from jobs.operations.ticks import identity, job_type, make_job
from jobs.rules import operator_rule
from jobs.schedules import TIMING, Spec

GROUPS = (TIMING, ("job_type", "payload"), ("priority",), ("catch_up",), ("overlap",))
"""Fields that only make sense together: staff override all of a group, or none."""

KEY_CHARACTERS = 100

for _verb in ("created", "changed", "paused", "resumed", "run", "reset", "deleted", "declared", "retired"):
    audit.register_action(f"schedule.{_verb}")


permissions.register(Schedule, operator_rule)


def create(*, name: str, fields: dict[str, Any], by: User | None) -> Schedule:
    """A new schedule, whose first tick is yet to come. ``Invalid`` names wrong fields; a name that is taken is a
    ``Conflict`` with code ``name_taken``."""
    try:
        is_name(name)
    except ValidationError as error:
        raise Invalid("the schedule is wrong", fields={"name": error.messages[0]}) from None
    spec = checked(fields) if by is None else checked_for_staff(fields)
    try:
        with transaction.atomic():
            Schedule.objects.create(name=name, **dict(spec))
            schedule, now = _locked(name)
            _plan(schedule, now)
            audit.record("schedule.created", actor=by, on=schedule, name=name, **spec.as_json())
            return schedule
    except IntegrityError:
        raise Conflict(f"there is a schedule {name!r} already", code="name_taken") from None


def change(*, name: str, fields: dict[str, Any], by: User) -> Schedule:
    """Change these fields. Another timing counts from now: ticks that were due by the old one are dropped."""
    with transaction.atomic():
        schedule, now = _locked(name)
        spec = checked_for_staff({**dict(Spec.of(schedule)), **fields}, standing=schedule)
        _rewrite(schedule, spec, now, "schedule.changed", by)
        return schedule


def reset(*, name: str, by: User) -> Schedule:
    """Say again what the code says. ``Conflict`` with code ``not_declared`` for a schedule that staff made."""
    with transaction.atomic():
        schedule, now = _locked(name)
        if schedule.declared is None:
            raise Conflict("the code does not declare this schedule", code="not_declared")
        _rewrite(schedule, checked(schedule.declared), now, "schedule.reset", by)
        return schedule


def pause(*, name: str, by: User) -> Schedule:
    """No tick runs until it is resumed, nor are they made up for. Pausing twice changes nothing."""
    with transaction.atomic():
        schedule, now = _locked(name)
        if schedule.paused_at is None:
            schedule.paused_at = now
            _plan(schedule, now)
            audit.record("schedule.paused", actor=by, on=schedule, name=name)
        return schedule


def resume(*, name: str, by: User) -> Schedule:
    """Tick again, from now on."""
    with transaction.atomic():
        schedule, now = _locked(name)
        if schedule.paused_at is not None:
            schedule.paused_at = None
            _plan(schedule, now)
            audit.record("schedule.resumed", actor=by, on=schedule, name=name)
        return schedule


def run(*, name: str, by: User, idempotency_key: str = "") -> Job:
    """Make its job now, beside the ticks, also while it is paused; the same key gives the same job.

    A schedule that leaves overlapping ticks out gives its open job instead, if it has one.
    """
    if len(idempotency_key) > KEY_CHARACTERS or not idempotency_key.isprintable():
        reason = f"at most {KEY_CHARACTERS} printable characters"
        raise Invalid("the idempotency key is wrong", fields={"idempotency_key": reason})
    with ledger():
        schedule, now = _locked(name)
        if unique := identity(schedule):
            job = make_job(schedule, owner=by, unique=unique)
        else:
            key = f"schedule:{schedule.pk}:{idempotency_key}" if idempotency_key else ""
            job = make_job(schedule, owner=by, idempotency_key=key)
        if not schedule.ticks.filter(job=job).exists():
            schedule.ticks.create(at=now, manual=True, job=job)
            audit.record("schedule.run", actor=by, on=schedule, name=name, request_id=str(job.public_id))
        return job


def delete(*, name: str, by: User) -> None:
    """Forget it and its ticks; its jobs stay. What the code declares can only be paused: ``Conflict``."""
    with transaction.atomic():
        schedule, _ = _locked(name)
        if schedule.declared is not None and schedule.retired_at is None:
            raise Conflict("the code declares this schedule: pause it instead", code="declared")
        audit.record("schedule.deleted", actor=by, on=schedule, name=name, **Spec.of(schedule).as_json())
        schedule.delete()


def adopt(*, name: str, spec: Spec) -> Schedule:
    """Store what the code declares. What staff changed stays, and so does the rest of its group of fields."""
    with transaction.atomic():
        if not Schedule.objects.filter(name=name).exists():
            create(name=name, fields=spec.as_json(), by=None)
            Schedule.objects.filter(name=name).update(declared=spec.as_json())
        schedule, now = _locked(name)
        was_retired, schedule.retired_at = schedule.retired_at, None
        merged = checked(_merged(Spec.of(schedule).as_json(), schedule.declared or {}, spec.as_json()))
        schedule.declared = spec.as_json()
        _rewrite(schedule, merged, now, "schedule.declared", None)
        if was_retired is not None:
            _plan(schedule, now)
        return schedule


def retire(*, names: list[str]) -> None:
    """Stop the schedules that the code declared once, all but these names that it still does."""
    with transaction.atomic():
        gone = Schedule.objects.select_for_update().filter(declared__isnull=False, retired_at=None)
        for schedule in gone.exclude(name__in=names).order_by("pk"):
            Schedule.objects.filter(pk=schedule.pk).update(retired_at=Now(), next_at=None)
            audit.record("schedule.retired", actor=None, on=schedule, name=schedule.name)


def checked(fields: dict[str, Any]) -> Spec:
    """What these fields say, the payload by its job type. ``Invalid`` names what is wrong."""
    spec = Spec.parse(fields)
    try:
        return spec.model_copy(update={"payload": validated(job_type(spec.job_type), spec.payload)})
    except Invalid as error:
        wrong = error.extra.get("fields", {"": error.detail})
        paths = {path if path == "job_type" else f"payload.{path}".rstrip("."): why for path, why in wrong.items()}
        raise Invalid("the schedule is wrong", fields=paths) from None


def checked_for_staff(fields: dict[str, Any], *, standing: Schedule | None = None) -> Spec:
    """``checked``, and no internal job type: of a schedule that stands for one, staff change anything else."""
    spec = checked(fields)
    stands = standing is not None and (standing.job_type, standing.payload) == (spec.job_type, spec.payload)
    if job_type(spec.job_type).internal and not stands:
        raise Invalid("the schedule is wrong", fields={"job_type": "only the code asks for jobs of this type"})
    return spec


def _locked(name: str) -> tuple[Schedule, datetime]:
    """The row, locked, and the time by the database's clock."""
    schedule = Schedule.objects.with_clock().select_for_update().filter(name=name).first()
    if schedule is None:
        raise NotFound("there is no such schedule")
    return schedule, schedule.now


def _rewrite(schedule: Schedule, spec: Spec, now: datetime, action: str, by: User | None) -> None:
    """Write what differs, and say so in the audit log."""
    was, now_says = Spec.of(schedule).as_json(), spec.as_json()
    changed = {name: [was[name], value] for name, value in now_says.items() if was[name] != value}
    for name, value in spec:
        setattr(schedule, name, value)
    schedule.save()
    if not changed.keys().isdisjoint(TIMING):
        _plan(schedule, now)
    if changed:
        audit.record(action, actor=by, on=schedule, name=schedule.name, changed=changed)


def _plan(schedule: Schedule, now: datetime) -> None:
    """Wait for the first tick later than now, if it ticks at all."""
    in_force = schedule.paused_at is None and schedule.retired_at is None
    schedule.next_at = schedule.tick_after(now) if in_force else None
    schedule.save()


def _merged(stands: dict[str, Any], declared: dict[str, Any], declares: dict[str, Any]) -> dict[str, Any]:
    """The new declaration, but for the groups in which a field no longer says what the old one said."""
    kept = [group for group in GROUPS if any(stands[name] != declared.get(name) for name in group)]
    return {**declares, **{name: stands[name] for group in kept for name in group}}
