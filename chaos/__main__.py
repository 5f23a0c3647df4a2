"""``python -m chaos``: what ``manage.py chaos`` runs. Exit status 1 if anything was lost, doubled or out of order."""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from chaos import bounds
from chaos.faults import WEIGHTS
from queueproject.stack.commands import PROJECT, manage

if TYPE_CHECKING:
    from chaos.bed import Bed
    from chaos.client import Log
    from chaos.nemesis import Nemesis
    from chaos.steward import Steward

GRACE_SECONDS = 0.5
ENVIRONMENT = {
    "BACKOFF_SECONDS": "0.1",
    "BACKOFF_CAP_SECONDS": "1",
    "REDIS_TIMEOUT_SECONDS": "0.5",
    "SHUTDOWN_SECONDS": str(GRACE_SECONDS),
    "WORKER_CONCURRENCY": "10",
    "LOG_LEVEL": "WARNING",
}
PATIENCE_SECONDS = 60.0
LOGS = PROJECT / "var" / "chaos"
Say = Callable[[str], object]


def main(say: Say) -> int:
    options = _parser().parse_args()
    try:
        from chaos.bed import Bed
    except ImportError as error:
        say(f"chaos needs what the tests need ({error}): pip install -r requirements-dev.txt\n")
        return 2
    with TemporaryDirectory(prefix="qp-chaos-") as directory:
        bed = Bed(Path(directory), database=options.database, redis_url=options.redis)
        try:
            return _run(bed, options, say)
        finally:
            bed.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="manage.py chaos", description="Work under faults, then count what went wrong."
    )
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10_000), help="what goes wrong; default: any")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long faults strike")
    parser.add_argument("--lease", type=float, default=3.0, help="seconds; 12 are the default of a site")
    parser.add_argument("--every", type=float, default=1.0, help="seconds from one fault to the next")
    parser.add_argument("--only", action="append", choices=WEIGHTS, help="a kind of fault; may be given again")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--database", default="sqlite", help="sqlite, postgres, or the URL of one to throw away")
    parser.add_argument("--redis", default="", help="the URL of one to be flushed; default: a private one")
    return parser


def _times(lease_seconds: float) -> dict[str, str]:
    """All in the proportions of the defaults."""
    return {
        "LEASE_SECONDS": str(lease_seconds),
        "HEARTBEAT_SECONDS": str(lease_seconds / 3),
        "LEADER_LEASE_SECONDS": str(lease_seconds * 5 / 12),
        "TICK_SECONDS": str(lease_seconds / 12),
        "POLL_SECONDS": str(lease_seconds / 12),
    }


def _run(bed: Bed, options: argparse.Namespace, say: Say) -> int:
    import django

    environment = {
        **ENVIRONMENT,
        **_times(options.lease),
        **bounds.environment(options.jobs / options.seconds),
        "DEBUG": "0",
        "SECRET_KEY": secrets.token_urlsafe(32),
        "DJANGO_SETTINGS_MODULE": "chaos.settings",
    }
    environment |= {"DATABASE_URL": bed.database_url, "REDIS_URL": bed.redis_url}
    os.environ |= environment | {"LOG_LEVEL": "ERROR"}
    subprocess.run(manage("migrate", "--verbosity", "0"), check=True)
    django.setup()
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # it tells of every connection that we cut
    say(f"seed {options.seed}: {options.jobs} jobs under faults for {options.seconds:.0f} s, on {options.database}\n")
    began = time.monotonic()
    log, nemesis, steward = _under_fire(bed, environment, options)
    return _report(log, nemesis, steward, time.monotonic() - began, options.lease, say)


def _under_fire(bed: Bed, environment: dict[str, str], options: argparse.Namespace) -> tuple[Log, Nemesis, Steward]:
    from django.contrib.auth.models import User

    from chaos.client import Client
    from chaos.herd import Herd
    from chaos.nemesis import Nemesis
    from chaos.steward import Steward

    owner = User.objects.create_user(f"chaos-{secrets.token_hex(4)}")
    client = Client(
        owner, seed=options.seed, jobs=options.jobs, seconds=options.seconds, long_seconds=options.lease + 1
    )
    herd = Herd(environment, LOGS, workers=options.workers, schedulers=2)
    nemesis = Nemesis(
        herd,
        bed,
        seed=options.seed,
        lease_seconds=options.lease,
        every_seconds=options.every,
        only=options.only or WEIGHTS,
    )
    most = bounds.limits(options.jobs / options.seconds)
    steward = Steward(most, seed=options.seed, seconds=options.seconds)
    herd.start()
    try:
        client.start()
        steward.start()
        nemesis.run(options.seconds)
        client.join()
        _until_quiet()
    finally:
        steward.stop()
        herd.stop()
    return client.log, nemesis, steward


def _until_quiet() -> None:
    """Until nothing is open, or nothing has moved for ``PATIENCE_SECONDS``."""
    from django.db import Error, connection

    from jobs.models import Job
    from jobs.models_events import JobEvent

    moved_at, last = time.monotonic(), -1
    while time.monotonic() - moved_at < PATIENCE_SECONDS:
        try:
            if not Job.objects.open().exists():
                return
            newest = JobEvent.objects.order_by("id").values_list("pk", flat=True).last() or 0
        except Error:
            connection.close()
            continue
        if newest != last:
            moved_at, last = time.monotonic(), newest
        time.sleep(0.2)


def _report(log: Log, nemesis: Nemesis, steward: Steward, seconds: float, lease_seconds: float, say: Say) -> int:
    from chaos.verdict import bounded, judge

    violations = judge(log, steward)
    say(f"{'acknowledged':<32}{len(log.acknowledged):>7} in {seconds:.0f} s\n")
    say(f"{'asked again after an error':<32}{log.errors:>7}\n")
    say(f"{'asked again after a refusal':<32}{log.refused:>7}\n")
    say(f"{'under limits':<32}{bounded():>7}\n")
    say(f"{'seen held back by one':<32}{len(steward.held_back):>7}\n")
    for name, count in steward.acts.most_common():
        say(f"  {name:<30}{count:>7}\n")
    say(f"{'faults':<32}{nemesis.faults.total():>7}\n")
    for name, count in nemesis.faults.most_common():
        say(f"  {name:<30}{count:>7}\n")
    for name, recovery in _recoveries(nemesis, lease_seconds):
        say(f"{name:<32}  {recovery}\n")
    for name, found in violations.items():
        say(f"{name:<32}{len(found):>7}\n")
        for line in found[:10]:
            say(f"  {line}\n")
    return 1 if any(violations.values()) else 0


def _recoveries(nemesis: Nemesis, lease_seconds: float) -> Iterator[tuple[str, str]]:
    from chaos.recovery import after, child_killed, described, worker_killed, worker_stopped

    killed = described(after(nemesis.kills, worker_killed))
    yield "worker killed, running again", f"{killed}; the lease is {lease_seconds:.0f} s"
    yield "process killed, running again", described(after(nemesis.child_kills, child_killed))
    stopped = described(after(nemesis.stops, worker_stopped))
    yield "worker stopped, handed back", f"{stopped}; {GRACE_SECONDS} s of them the jobs were let go on"


if __name__ == "__main__":
    sys.exit(main(sys.stdout.write))
