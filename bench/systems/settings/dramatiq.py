from bench.systems import servers
from bench.systems.settings.base import *  # noqa: F403
from bench.systems.settings.base import INSTALLED_APPS, POOLED

INSTALLED_APPS = [*INSTALLED_APPS, "django_dramatiq"]
DATABASES = POOLED
DRAMATIQ_BROKER = {
    "BROKER": "dramatiq.brokers.redis.RedisBroker",
    "OPTIONS": {"url": servers.REDIS_URL},
    "MIDDLEWARE": [
        "dramatiq.middleware.AgeLimit",
        "dramatiq.middleware.TimeLimit",
        "dramatiq.middleware.Callbacks",
        "dramatiq.middleware.Retries",
        "django_dramatiq.middleware.DbConnectionsMiddleware",
        "django_dramatiq.middleware.AdminMiddleware",
    ],
}
