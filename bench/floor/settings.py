"""The smallest Django project with django-rq in it: its defaults, our servers."""

import os

import dj_database_url

SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django_rq"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "bench.floor.urls"
DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"])}
RQ_QUEUES = {"default": {"URL": os.environ["REDIS_URL"]}}
USE_TZ = True
