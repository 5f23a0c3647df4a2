"""What a job's own process does. The fork server imports this once, so each child starts with Django ready."""

from __future__ import annotations

import ctypes
import os
import resource
import signal

import django
from django.apps import apps

if not apps.ready:
    django.setup()

from django.conf import settings

from jobs.execution import execute
from jobs.inline import inline_context
from jobs.models import Job
from jobs.operations.leases import held
from jobs.operations.outcomes import settle

MEGABYTE = 1 << 20
PR_SET_PDEATHSIG = 1


def main(job_id: int, token: int) -> None:
    """Run a claimed job and store its end. The process leads a group of its own and dies with the fork server."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    size = settings.CONFIG.isolated_memory_mb * MEGABYTE
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    job = Job.objects.get(pk=job_id)
    if held(job, token) and (ended := execute(job, inline_context)):
        settle([ended])
