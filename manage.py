#!/usr/bin/env python
"""The project's command line: migrations, the worker, the scheduler, operators' commands."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "queueproject.settings")
    execute_from_command_line(sys.argv)
