"""The tests' settings, for worker processes that are to fail in ways that only tests/proof needs."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.proof.unsure.UnsureConfig"]
