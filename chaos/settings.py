"""The project's settings with the chaos run's job types added."""

from queueproject.settings import *  # noqa: F403
from queueproject.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "chaos.apps.ChaosConfig"]
