from bench.systems.settings.base import *  # noqa: F403
from bench.systems.settings.base import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "procrastinate.contrib.django"]
PROCRASTINATE_IMPORT_PATHS = ["bench.systems.procrastinate_tasks"]
