#!/usr/bin/env python
"""The project's command line: migrations, the worker, the scheduler, operators' commands."""

import os
import secrets
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "queueproject.settings")
    if sys.argv[1:2] == ["console"]:  # It signs nothing, and is at home far from the site and its settings.
        os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(32))
    execute_from_command_line(sys.argv)
