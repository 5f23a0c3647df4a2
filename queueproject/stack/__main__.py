"""``python -m queueproject.stack``: what ``make run`` runs."""

import os
import signal
import sys

from queueproject import env
from queueproject.stack.local import run
from queueproject.stack.orphans import die_with_parent

if __name__ == "__main__":
    os.environ.setdefault("DEBUG", "1")
    os.environ.setdefault("DEMO", "1")
    if "MAKELEVEL" in os.environ:
        die_with_parent(signal.SIGTERM)
    sys.exit(run(env.load()))
