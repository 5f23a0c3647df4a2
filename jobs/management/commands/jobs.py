"""Look at jobs and act on them."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandParser

from jobs.listing import page
from jobs.management.console import ConsoleCommand, at_the_console, job_key, json_object
from jobs.models import Job
from jobs.operations import operating
from jobs.states import Status
from jobs.why import why_waiting


class Command(ConsoleCommand):
    help = "List and show jobs; retry, cancel, promote or remove them, run them again. All of it is audited."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        listed = verbs.add_parser("list", help="the newest first")
        listed.add_argument("--status", choices=Status.values)
        listed.add_argument("--queue")
        listed.add_argument("--type")
        listed.add_argument("--limit", type=int, default=20)
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
        priority = verbs.add_parser("priority", help="lower runs first")
        priority.add_argument("priority", type=int)
        priority.add_argument("ids", nargs="+", metavar="id")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        match verb:
            case "list":
                self._list(**{name: options[name] for name in ("status", "queue", "type", "limit")})
            case "show":
                self._show(operating.get(job_key(options["id"])))
            case _:
                for public_id in options["ids"]:
                    self.stdout.write(f"{public_id}: {self._act(verb, job_key(public_id), options)}")

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
            case "priority":
                return f"priority {operating.reprioritise(key, options['priority'], by=by).priority}"
        operating.remove(key, by=by)
        return "removed"

    def _list(self, *, limit: int, **wanted: str | None) -> None:
        found = Job.objects.filter(**{name: value for name, value in wanted.items() if value})
        jobs, following = page(found, before=None, limit=limit)
        rows = [(job.public_id, job.type, job.queue, job.status, job.attempt, job.created_at) for job in jobs]
        self.print_table(("id", "type", "queue", "status", "attempt", "created"), rows)
        if following:
            self.stderr.write(f"There are more than {limit}.")

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
            "payload": json.dumps(job.payload, ensure_ascii=False),
            "result": json.dumps(job.result, ensure_ascii=False),
            "error": json.dumps(job.error, ensure_ascii=False),
        }
        for name, value in facts.items():
            self.stdout.write(f"{name + ':':<9} {value}")
        self.stdout.write("")
        events = job.events.order_by("id").values_list("at", "event", "token", "data")
        self.print_table(("at", "event", "token", "data"), [(*event, _brief(data)) for *event, data in events])


def _brief(data: dict[str, Any] | None) -> str:
    """Without tracebacks, which would make the table unreadable."""
    return json.dumps({key: value for key, value in (data or {}).items() if key != "traceback"}, ensure_ascii=False)
