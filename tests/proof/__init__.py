"""``PROOF=full``, as `make chaos` sets it: whole matrices for a slice of each, and other made-up input each time."""

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

FULL = os.environ.get("PROOF") == "full"


def share(matrix: Sequence[T], *, of: int) -> Sequence[T]:
    """All of it in the full proof, else every ``of``-th: spread over the whole way, the first and others after it."""
    return matrix if FULL else matrix[::of]
