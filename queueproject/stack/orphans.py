"""No process outlives the one that started it, not even after kill -9."""

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def die_with_parent(with_signal: int = signal.SIGKILL) -> None:
    """Ask Linux to signal this process when the thread that started it ends. Fit for ``preexec_fn``."""
    _libc.prctl(PR_SET_PDEATHSIG, with_signal)


def kill_group(leader: int) -> None:
    """Kill what is left of the process group of this leader."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return
