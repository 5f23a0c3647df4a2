"""``python -m console``: the client without Django, as on a machine that has only this package and its libraries."""

import argparse
import sys

from console.start import add_arguments, start

parser = argparse.ArgumentParser(prog="console", description="Play a game in the terminal.")
add_arguments(parser)
sys.exit(start(**vars(parser.parse_args())))
