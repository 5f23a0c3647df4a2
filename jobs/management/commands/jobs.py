"""Look at jobs and act on them."""

from __future__ import annotations

import json
import time
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from jobs.errors import QueueError
from jobs.listing import Wanted, page, wanted
from jobs.management.console import (
    ConsoleCommand,
    at_the_console,
    count,
    job_key,
    json_object,
    moment,
    refusal,
    seconds,
)
from jobs.models import Job
from jobs.models_steps import JobLog
from jobs.operations import bulk, operating
from jobs.states import Status
from jobs.why import why_waiting


class Command(ConsoleCommand):
    help = "List and show jobs and their logs; add, retry, cancel, promote, remove them, run them again; audited."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        listed = verbs.add_parser("list", help="the newest first")
        listed.add_argument("--search", help="an id, or an idempotency key")
        listed.add_argument("--before", type=UUID, help="the id at which the page before ended")
        listed.add_argument("--limit", type=count, default=20)
        matching = verbs.add_parser("matching", help="do one thing to all requests that match, the oldest first")
        matching.add_argument("act", choices=bulk.VERBS)
        matching.add_argument("--limit", type=count, default=100)
        for parser in (listed, matching):
            _add_which(parser)
        added = verbs.add_parser("add", help="a new one")
        added.add_argument("type")
        added.add_argument("payload", type=json_object, help="a JSON object")
        added.add_argument("--queue", default="")
        added.add_argument("--priority", type=int, default=0)
        added.add_argument("--delay-seconds", type=seconds)
        added.add_argument("--tag", action="append", default=[])
        logs = verbs.add_parser("logs", help="what its handler wrote")
        logs.add_argument("id")
        logs.add_argument("--follow", action="store_true", help="until the job has ended")
        verbs.add_parser("show", help="one job: why it waits, its payload, its timeline").add_argument("id")
        for verb, about in (("retry", "run what failed again"), ("again", "a new request like an ended one")):
            added = verbs.add_parser(verb, help=about)
            added.add_argument("ids", nargs="+", metavar="id")
            added.add_argument("--payload", type=json_object, help="run with this JSON object instead")
        for verb, about in (
            ("cancel", "call it off; what runs is told to stop"),
            ("promote", "let a delayed one run now"),
            ("remove", "delete an ended one"),
        ):
            verbs.add_parser(verb, help=about).add_argument("ids", nargs="+", metavar="id")
        later = verbs.add_parser("reschedule", help="let a delayed one run at another time")
        later.add_argument("at", type=moment, help="as 2026-11-22T04:00")
        later.add_argument("ids", nargs="+", metavar="id")
        priority = verbs.add_parser("priority", help="lower runs first")
        priority.add_argument("priority", type=int)
        priority.add_argument("ids", nargs="+", metavar="id")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        match verb:
            case "list":
                self._list(_which(options), options["before"], options["limit"])
            case "matching":
                self._matching(options["act"], _which(options), options["limit"])
            case "add":
                self.stdout.write(str(self._add(options).public_id))
            case "logs":
                self._logs(job_key(options["id"]), follow=options["follow"])
            case "show":
                self._show(operating.get(job_key(options["id"])))
            case _:
                self._each(verb, options)

    def _each(self, verb: str, options: dict[str, Any]) -> None:
        """Every job is tried; what was refused is told at the end."""
        refused = []
        for public_id in options["ids"]:
            try:
                self.stdout.write(f"{public_id}: {self._act(verb, job_key(public_id), options)}")
            except QueueError as error:
                refused.append(f"{public_id}: {refusal(error)}")
        if refused:
            raise CommandError("\n".join(refused))

    def _act(self, verb: str, key: int, options: dict[str, Any]) -> str:
        by = at_the_console()
        match verb:
            case "retry":
                return operating.revive(key, by=by, payload=options["payload"]).status
            case "again":
                return f"runs as {operating.run_again(key, by=by, payload=options['payload']).public_id}"
            case "cancel":
                job = operating.cancel(key, by=by)
                return job.status if job.ended else "told to stop"
            case "promote":
                operating.promote(key, by=by)
                return "runs within a tick"
            case "reschedule":
                return f"runs at {operating.reschedule(key, options['at'], by=by).scheduled_at}"
            case "priority":
                return f"priority {operating.reprioritise(key, options['priority'], by=by).priority}"
        operating.remove(key, by=by)
        return "removed"

    def _add(self, options: dict[str, Any]) -> Job:
        return operating.add(
            options["type"],
            options["payload"],
            by=at_the_console(),
            queue=options["queue"],
            priority=options["priority"],
            delay=options["delay_seconds"],
            tags=options["tag"],
        )

    def _list(self, asked: Wanted, before: UUID | None, limit: int) -> None:
        jobs, following = page(wanted(**asked), before=before, limit=limit)
        rows = [(job.public_id, job.type, job.queue, job.status, job.attempt, job.created_at) for job in jobs]
        self.print_table(("id", "type", "queue", "status", "attempt", "created"), rows)
        if following:
            self.stderr.write(f"There are more than {limit}: go on with --before {following}")

    def _matching(self, act: str, asked: Wanted, limit: int) -> None:
        if not asked:
            raise CommandError("say which jobs, as with --tag")
        done = bulk.matching(act, wanted(**asked), limit=limit, by=at_the_console())
        self.stdout.write(f"{act}: done to {done.count}")
        for reason, refused in done.refused.items():
            self.stderr.write(f"not to {refused}: {reason}")

    def _logs(self, key: int, *, follow: bool) -> None:
        """The lines there are; with ``follow`` those that come, too, and the job's end is the end."""
        told = 0
        while True:
            ended = not follow or operating.get(key).ended
            for line in JobLog.objects.filter(job=key, pk__gt=told).order_by("pk"):
                self.stdout.write(f"{timezone.localtime(line.at):%Y-%m-%d %H:%M:%S}  {line.attempt}  {line.text}")
                told = line.pk
            if ended:
                return
            time.sleep(settings.CONFIG.follow_seconds)

    def _show(self, job: Job) -> None:
        why = why_waiting(job)
        facts = {
            "id": job.public_id,
            "request": (job.root or job).public_id,
            "type": job.type,
            "queue": job.queue,
            "status": job.status,
            "waits": why.text if why else "-",
            "attempt": f"{job.attempt} of {job.max_attempts}, run {job.run}",
            "lane": job.lane or "-",
            "tags": ", ".join(sorted(given.tag for given in job.tags.all())) or "-",
            "payload": json.dumps(job.payload, ensure_ascii=False),
            "result": json.dumps(job.result, ensure_ascii=False),
            "error": json.dumps(job.error, ensure_ascii=False),
        }
        for name, value in facts.items():
            self.stdout.write(f"{name + ':':<9} {value}")
        self.stdout.write("")
        events = job.events.order_by("id").values_list("at", "event", "token", "data")
        self.print_table(("at", "event", "token", "data"), [(*event, _brief(data)) for *event, data in events])


def _add_which(parser: CommandParser) -> None:
    parser.add_argument("--status", choices=Status.values)
    parser.add_argument("--queue")
    parser.add_argument("--type")
    parser.add_argument("--tag")
    parser.add_argument("--owner", help="the name of the user who asked")
    parser.add_argument("--scope", help="game:<id>")
    parser.add_argument("--fingerprint", help="the cause of death")
    parser.add_argument("--since", type=moment, help="asked for then or later, as 2026-11-22T04:00 or 2026-11-22")
    parser.add_argument("--until", type=moment, help="asked for before")


def _which(options: dict[str, Any]) -> Wanted:
    return cast(Wanted, {name: options[name] for name in Wanted.__annotations__ if options.get(name)})


def _brief(data: dict[str, Any] | None) -> str:
    """Without tracebacks, which would make the table unreadable."""
    return json.dumps({key: value for key, value in (data or {}).items() if key != "traceback"}, ensure_ascii=False)
