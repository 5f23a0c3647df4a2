from bench.systems import servers
from bench.systems.settings.base import *  # noqa: F403
from bench.systems.settings.base import INSTALLED_APPS
from bench.systems.system import OTHER_QUEUE, QUEUE

INSTALLED_APPS = [*INSTALLED_APPS, "django_rq"]
RQ_QUEUES = {queue: {"URL": servers.REDIS_URL} for queue in (QUEUE, OTHER_QUEUE)}
