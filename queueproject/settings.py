"""Django's settings, derived from the environment (queueproject.env). Wiring only."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import django_stubs_ext
from csp.constants import NONE, SELF

from queueproject import env
from queueproject.database import database
from queueproject.logs import configure_logging
from queueproject.queues import QUEUES
from queueproject.transport import transport

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
CONFIG = env.load()

# Django's own debug mode stays off: it keeps queries in memory and shows tracebacks to whoever is there.
DEBUG = False
SECRET_KEY = CONFIG.secret_key
ALLOWED_HOSTS = list(CONFIG.allowed_hosts)
CSRF_TRUSTED_ORIGINS = list(CONFIG.trusted_origins)

# Daphne serves by its own command. As an app it would only change runserver, and cost every worker 23 MB.
INSTALLED_APPS = [
    "queueproject.apps.SiteAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "django_rq",
    "django_htmx",
    "csp",
    "ninja",
    "accounts.apps.AccountsConfig",
    "jobs.apps.JobsConfig",
    "approvals.apps.ApprovalsConfig",
    "generation.apps.GenerationConfig",
    "games.apps.GamesConfig",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "queueproject.errors.json_errors",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "queueproject.urls"
ASGI_APPLICATION = "queueproject.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "queueproject.context.site",
            ],
        },
    },
]

DATABASES = {"default": database(CONFIG, BASE_DIR)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CHANNEL_LAYERS, TRANSPORT = transport(CONFIG)

RQ_QUEUES = {name: {"URL": CONFIG.redis_url, "SERIALIZER": "json"} for name in QUEUES}
RQ = {"QUEUE_CLASS": "jobs.rq.TicketQueue"}
RQ_SHOW_ADMIN_LINK = False  # queueproject.dashboard shows it, to superusers.

LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not CONFIG.debug
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = CONFIG.debug
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if CONFIG.debug
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

mail = urlsplit(CONFIG.email_url)
EMAIL_HOST, EMAIL_PORT = mail.hostname or "localhost", mail.port or (465 if mail.scheme == "smtps" else 25)
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(mail.username or ""), unquote(mail.password or "")
EMAIL_USE_SSL = mail.scheme == "smtps"
EMAIL_TIMEOUT = CONFIG.alert_timeout_seconds
DEFAULT_FROM_EMAIL = CONFIG.email_from

LOGGING_CONFIG = None
configure_logging(level=CONFIG.log_level, readable=CONFIG.debug)
