"""Why a job does not run, said in one sentence, with a link to what it waits for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse

from jobs import limits
from jobs.models import Job, QueueControl, Worker
from jobs.models_events import JobEvent
from jobs.models_operating import ControlKind
from jobs.models_steps import StepKind
from jobs.progress import asked_of
from jobs.states import OPEN, Status


class Reason(StrEnum):
    """What a job may wait for."""

    LANE = "lane"  # behind others of its ordering key
    DEPENDENCY = "dependency"  # a job that it depends on has not ended
    DECISION = "decision"
    CONFIRMATION = "confirmation"  # of a workflow's step
    CHILD = "child"
    SLEEP = "sleep"  # the handler asked to go on at a time
    ANSWER = "answer"  # of another system, or of our own code
    DELAY = "delay"  # not before its time
    TIMER = "timer"  # a retry's backoff, or a snooze
    RATE = "rate"  # whom it asked said to come back later
    PERMIT = "permit"  # a limit on how many run at once
    PAUSED = "paused"
    NO_WORKER = "no_worker"
    QUEUE = "queue"  # nothing but its turn


@dataclass(frozen=True)
class Why:
    """The reason, for programs and for people; ``url`` is a page about what is waited for."""

    reason: Reason
    text: str
    url: str


def why_waiting(job: Job) -> Why | None:
    """What keeps a job from running; ``None`` for one that runs or has ended."""
    match job.status:
        case Status.SCHEDULED:
            return _not_yet(job)
        case Status.PENDING:
            return _behind_lane(job) or _behind_dependency(job)
        case Status.WAITING:
            return _for_decision(job) or _for_confirmation(job) or _for_child(job) or _for_answer(job)
        case Status.QUEUED:
            return _paused(job) or _no_worker(job) or _no_permit(job) or _its_turn(job)
    return None


def _page(job: Job) -> str:
    return reverse("admin:jobs_job_change", args=[job.pk])


def _queue_page(job: Job) -> str:
    return f"{reverse('admin:jobs_job_changelist')}?queue={job.queue}&status__exact={job.status}"


def _not_yet(job: Job) -> Why:
    if job.started_at is None:
        return Why(Reason.DELAY, f"delayed until {job.scheduled_at:%Y-%m-%d %H:%M:%S %Z}", _page(job))
    if (told := _asked_to_wait(job)) is not None:
        return Why(Reason.RATE, f"asked to come back at {job.scheduled_at:%Y-%m-%d %H:%M:%S %Z}: {told}", _page(job))
    return Why(
        Reason.TIMER, f"runs on at {job.scheduled_at:%Y-%m-%d %H:%M:%S %Z}, as attempt {job.attempt}", _page(job)
    )


def _asked_to_wait(job: Job) -> str | None:
    """What whoever the last attempt asked said, if it was to come back later."""
    events = JobEvent.objects.filter(job=job, event__in=("job.retried", "job.snoozed")).order_by("-id")
    data = events.values_list("data", flat=True).first() or {}
    return str(data.get("detail", "")) if data.get("asked") else None


def _behind_lane(job: Job) -> Why | None:
    if job.lane is None or job.place is None:
        return None
    ahead = Job.objects.open().filter(lane=job.lane, place__lt=job.place).order_by("place")
    if (head := ahead.first()) is None:
        return None
    return Why(Reason.LANE, f"behind {ahead.count()} in {job.lane}; its head {head} is {head.status}", _page(head))


def _behind_dependency(job: Job) -> Why | None:
    on = Job.objects.filter(dependents__job=job, status__in=OPEN).order_by("pk").first()
    return Why(Reason.DEPENDENCY, f"depends on {on}, which is {on.status}", _page(on)) if on else None


def _for_decision(job: Job) -> Why | None:
    if not job.awaiting_approval:
        return None
    root = job.root or job
    asked = JobEvent.objects.filter(scope=root.scope_id, request=root.public_id, event="approval.required")
    data = asked.order_by("-id").values_list("data", flat=True).first() or {}
    # The page is of a room above, known here by its name only.
    url = reverse("decision", args=[data["approval_id"]]) if "approval_id" in data else reverse("decisions")
    return Why(Reason.DECISION, "a person has to decide", url)


def _for_confirmation(job: Job) -> Why | None:
    if (asked := asked_of(job)) is None:
        return None
    until = f"until {asked.due_at:%Y-%m-%d %H:%M:%S %Z}"
    url = reverse("request", args=[job.public_id])
    step = job.workflow.step(asked.step) if job.workflow else None
    return Why(Reason.CONFIRMATION, f"somebody has to confirm “{step.title if step else asked.step}”, {until}", url)


def _for_answer(job: Job) -> Why | None:
    wait = job.waits.open().filter(run=job.run, awaited_at__isnull=False).first()
    if wait is None:
        return None
    until = f" until {wait.due_at:%Y-%m-%d %H:%M:%S %Z}" if wait.due_at else ""
    if wait.kind == StepKind.SLEEP:
        return Why(Reason.SLEEP, f"sleeps{until} ({wait.name})", _page(job))
    return Why(Reason.ANSWER, f"waits for an answer{until} ({wait.name})", _page(job))


def _for_child(job: Job) -> Why | None:
    child = job.children.open().order_by("pk").first()
    return Why(Reason.CHILD, f"waits for {child}, which is {child.status}", _page(child)) if child else None


def _paused(job: Job) -> Why | None:
    control = QueueControl.objects.filter(kind=ControlKind.QUEUE, name=job.queue, paused_at__isnull=False)
    if (paused := control.select_related("paused_by").first()) is None:
        return None
    by = f" by {paused.paused_by}" if paused.paused_by else ""
    return Why(
        Reason.PAUSED, f"the queue {job.queue} is paused{by} since {paused.paused_at:%H:%M:%S %Z}", _queue_page(job)
    )


def _no_worker(job: Job) -> Why | None:
    live = Worker.objects.filter(ended_at=None, lease_until__gt=Now())
    stopped = set(QueueControl.objects.filter(kind=ControlKind.WORKER, paused_at__isnull=False).values_list("name"))
    listening = [(name,) for name, queues in live.values_list("name", "queues") if job.queue in queues]
    if set(listening) - stopped:
        return None
    if listening:
        text = f"every worker that listens to {job.queue} is paused"
        return Why(Reason.NO_WORKER, text, reverse("admin:jobs_queuecontrol_changelist"))
    return Why(Reason.NO_WORKER, f"no worker listens to {job.queue}", reverse("admin:jobs_worker_changelist"))


def _no_permit(job: Job) -> Why | None:
    name = job.held_back_by
    if not name:
        return None
    text = f"{name} allows {limits.most(name)} at once"
    if name.startswith(limits.QUEUE):
        url = f"{reverse('admin:jobs_job_changelist')}?queue={job.queue}&status__exact=running"
        return Why(Reason.PERMIT, text, url)
    return Why(Reason.PERMIT, text, f"{reverse('admin:jobs_job_changelist')}?q={name}")


def _its_turn(job: Job) -> Why:
    earlier = Q(rank__lt=job.rank) | Q(rank=job.rank, pk__lt=job.pk)
    before = Q(priority__lt=job.priority) | Q(earlier, priority=job.priority)
    ahead = Job.objects.filter(before, queue=job.queue, status=Status.QUEUED).count()
    return Why(Reason.QUEUE, f"{ahead} are ahead of it in {job.queue}", _queue_page(job))
