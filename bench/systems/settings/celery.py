from bench.systems.settings.base import *  # noqa: F403
from bench.systems.settings.base import INSTALLED_APPS, POOLED

INSTALLED_APPS = [*INSTALLED_APPS, "django_celery_results"]
DATABASES = POOLED
CELERY_RESULT_BACKEND = "django-db"
