"""What the stack prints: every line with the name of the process that said it."""

import sys

STACK = "stack"
WIDTH = 9
COLOURS = {STACK: 37, "redis": 35, "migrate": 37, "demo": 37, "web": 36, "serve": 36, "worker": 32, "scheduler": 33}


def say(name: str, line: str) -> None:
    """Print a line of this process; its name is coloured on a terminal."""
    prefix = f"{name:<{WIDTH}} |"
    if sys.stdout.isatty():
        prefix = f"\033[{COLOURS.get(name, 37)}m{prefix}\033[0m"
    sys.stdout.write(f"{prefix} {line}\n")
    sys.stdout.flush()
