"""``python -m tests.proof.guards``: take out one guard at a time; a test must miss it. Exit status 1 if none does."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.proof.without import GUARDS, Guard


def is_missed(name: str, guard: Guard) -> bool:
    """Whether a test fails without this guard; one that could not even be set up proves nothing."""
    environment = {"WITHOUT": name, "TEST_DATABASE": "postgres" if guard.locks else "sqlite"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "tests.proof.without", *guard.missed_by.split(" ", 2)]
    run = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    return "FAILED tests/" in run.stdout and not any(
        why in run.stdout for why in ("ERROR at setup", "ERROR collecting")
    )


def main(chosen: list[str]) -> int:
    unmissed = 0
    for name in chosen or GUARDS:
        guard = GUARDS[name]
        missed = is_missed(name, guard)
        unmissed += not missed
        verdict = "missed" if missed else "NOBODY MISSES IT"
        sys.stdout.write(f"{name:<20} keeps out {guard.keeps_out:<28} {verdict:<18} {guard.missed_by}\n")
        sys.stdout.flush()
    return 1 if unmissed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
