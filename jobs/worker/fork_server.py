"""What the fork server imports, and nobody else: each child starts with Django ready.

It is deaf to SIGTERM, which supervisors send to all processes of a worker at once: its end would be the end of the
jobs' processes, and nobody knew that it was no fault of theirs. It ends with its worker.
"""

from __future__ import annotations

import signal

from jobs.worker import child_process  # noqa: F401 - so that it is there before the first child

signal.signal(signal.SIGTERM, signal.SIG_IGN)
