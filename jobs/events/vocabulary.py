"""Every event there is, and what it tells. Numbered ones are a scope's stream; ``job.*`` are a job's own timeline."""

from __future__ import annotations

NUMBERED: dict[str, str] = {
    "request.queued": "Someone asked for something: `kind`, and `position` in its lane (0 = next).",
    "request.processing": "A worker began with it.",
    "llm.processing": "A language model is drafting for it.",
    "approval.required": "A person is asked to decide: `approval_id`, `version`, `due_at`; deciders see the draft.",
    "approval.versioned": "Another version of the draft stands to be decided, and `reason` says why.",
    "approval.decided": "A person decided: `decision`; deciders see who, the reason and the difference to the draft.",
    "approval.undone": "The decision was taken back within the undo window.",
    "approval.expired": "Nobody decided in time: `decision` is the default that was taken instead.",
    "approval.withdrawn": "The request ended before anyone decided.",
    "game.state_updated": "The game moved on: `turn`, and `changes` of the state.",
    "game.chapter_published": "The chronicle has another chapter: `chapter`, `title`.",
    "workflow.step.started": "A declared step begins: `step`, `title`, `index`, `total`, `percentage` of the whole, "
    "`message`.",
    "workflow.step.progress": "How far it is, or what it waits for; the same fields. Deciders see who confirmed it.",
    "workflow.step.completed": "It is done; the same fields.",
    "workflow.step.failed": "An attempt ended in it, and `message` says why; the same fields.",
    "story.triggered": "A turn set off events of the story: `turn`, `count`, and the `request_id` that will tell them; "
    "deciders see which `events`.",
    "request.completed": "It is done: `result`.",
    "request.rejected": "A person, or the default, said no: `result` holds the reason.",
    "request.failed": "It could not be done: `error` with `code` and `detail`.",
    "request.cancelled": "It was called off.",
}

JOB_STREAM: dict[str, str] = {
    "job.log": "A line that its handler wrote: `at`, `attempt`, `text`. The `id` is the line's.",
    "job.changed": "It stands otherwise than before: `status`, `run`, `attempt`, `progress`; the first one says how it "
    "stands.",
}
"""What a job's own stream tells operators. The lines are kept; how it stands is read anew."""

TIMELINE: dict[str, str] = {
    "job.scheduled": "Enqueued, not to run before its time.",
    "job.pending": "Enqueued or due, behind the head of its lane.",
    "job.queued": "May run.",
    "job.started": "A worker claimed it: `attempt`.",
    "job.waiting": "Suspended until its `step` is answered: a child job, a decision, a time, an answer.",
    "job.resumed": "Its `step` was answered; it may run on.",
    "job.retried": "The attempt failed (`code`, `detail`, `traceback`); the next comes `after_seconds`.",
    "job.snoozed": "The handler asked to run later: `after_seconds`. No attempt is spent.",
    "job.rescued": "Taken back from a `worker` whose lease ran out.",
    "job.released": "Handed back by a `worker` that was shutting down.",
    "job.completed": "Ended with a result.",
    "job.dead": "Ended without one: no attempts left, or none would help.",
    "job.cancelled": "Called off.",
    "job.revived": "Run again after it had ended without a result: `run`.",
    "job.expired": "Not started in time.",
}
