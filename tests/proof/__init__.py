"""``PROOF=full``, which `make chaos` sets, runs whole matrices where `make test` runs a slice of each."""

import os

FULL = os.environ.get("PROOF") == "full"
