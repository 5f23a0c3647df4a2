"""The smallest Django project around a peer: the database of the run, its settings at their defaults."""

from typing import Any

from bench.systems import servers

SECRET_KEY = "only-for-the-benchmark"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
_DATABASE = {"ENGINE": "django.db.backends.postgresql", **servers.database()}
DATABASES: dict[str, dict[str, Any]] = {"default": {**_DATABASE, "CONN_MAX_AGE": 600}}
POOLED = {"default": {**_DATABASE, "OPTIONS": {"pool": {"min_size": 4, "max_size": 20, "timeout": 30}}}}
"""For peers that give their connection back after every job: a new one for each would be most of what they do."""
LOGGING = {"version": 1, "disable_existing_loggers": False, "root": {"level": "WARNING"}}
