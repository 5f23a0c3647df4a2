"""``python -m bench.one MODULE [SYSTEM]``: run one workload, of one system, and print its measures as JSON.

It runs where that system is installed, so nothing here is imported but the standard library.
"""

import json
import sys
from importlib import import_module

from bench.systems.catalog import load

if __name__ == "__main__":
    module, *systems = sys.argv[1:]
    loaded = [load(system) for system in systems]
    if not loaded:
        import django

        django.setup()
    json.dump(import_module(module).measure(*loaded), sys.stdout)
