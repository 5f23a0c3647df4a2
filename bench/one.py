"""``python -m bench.one MODULE``: run one workload of one system and print its measures as JSON."""

import json
import sys
from importlib import import_module

import django

if __name__ == "__main__":
    django.setup()
    json.dump(import_module(sys.argv[1]).measure(), sys.stdout)
