"""Every setting of Tollgate, read from the environment once, at start.

Names and meanings are listed in docs/operations.md. A bad value refuses to start instead of being guessed at.
"""

import base64
import binascii
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

from config.pictures import pictures_storage

BASE_DIR = Path(__file__).resolve().parent.parent


def env_text(name: str, default: str | None = None) -> str:
    """The variable's text; without it and without a default, the process refuses to start."""
    value = os.environ.get(name, default)
    if value is None or (value == "" and default is None):
        raise ImproperlyConfigured(f"{name} must be set")
    return value


def env_flag(name: str, default: bool) -> bool:
    """1/true/yes/on or 0/false/no/off."""
    value = os.environ.get(name, "").strip().lower()
    if value == "":
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be 1 or 0, not {value!r}")


def env_number(name: str, default: float, least: float = 0) -> float:
    """A number that is not below `least`."""
    text = os.environ.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a number, not {text!r}") from error
    if not value >= least:
        raise ImproperlyConfigured(f"{name} must be at least {least:g}")
    return value


def env_list(name: str, default: str = "") -> list[str]:
    """Comma separated, blanks dropped."""
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


def database_from_url(url: str) -> dict[str, Any]:
    """Django's form of a libpq URL; everything beyond the five known fields goes to libpq as it is."""
    fields = dict(conninfo_to_dict(url))
    known = {
        "dbname": "NAME",
        "user": "USER",
        "password": "PASSWORD",
        "host": "HOST",
        "port": "PORT",
    }
    database: dict[str, Any] = {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {}}
    for name, value in fields.items():
        if name in known:
            database[known[name]] = value
        else:
            database["OPTIONS"][name] = value
    return database


def credential_key(name: str, text: str) -> bytes:
    """32 bytes in base64: the key under which provider credentials are encrypted at rest."""
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ImproperlyConfigured(f"{name} must be base64") from error
    if len(key) != 32:
        raise ImproperlyConfigured(f"{name} must hold 32 bytes")
    return key


DEBUG = env_flag("TOLLGATE_DEBUG", False)
SECRET_KEY = env_text("TOLLGATE_SECRET_KEY")
KEY_PEPPER = env_text("TOLLGATE_KEY_PEPPER").encode()
KEY_PREFIX = env_text("TOLLGATE_KEY_PREFIX", "tollgate")
CREDENTIAL_KEY = credential_key("TOLLGATE_CREDENTIAL_KEY", env_text("TOLLGATE_CREDENTIAL_KEY"))
CREDENTIAL_KEYS = (
    CREDENTIAL_KEY,
    *(
        credential_key("each of TOLLGATE_CREDENTIAL_KEYS_OLD", text)
        for text in env_list("TOLLGATE_CREDENTIAL_KEYS_OLD")
    ),
)
TOLLGATE_HOME = Path(env_text("TOLLGATE_HOME", str(BASE_DIR / "var"))).resolve()
DATABASE_URL = env_text("DATABASE_URL")

# The data plane (gateway/app.py) gets these through config/asgi.py; units are in the names.
GATEWAY_BODY_BYTES_MAX = int(env_number("TOLLGATE_BODY_BYTES_MAX", 20 * 1024 * 1024, 1024))
GATEWAY_CONNECT_TIMEOUT_S = env_number("TOLLGATE_CONNECT_TIMEOUT_S", 5, 0.05)
GATEWAY_FIRST_BYTE_TIMEOUT_S = env_number("TOLLGATE_FIRST_BYTE_TIMEOUT_S", 600, 0.05)
GATEWAY_BETWEEN_BYTES_TIMEOUT_S = env_number("TOLLGATE_BETWEEN_BYTES_TIMEOUT_S", 300, 0.05)
GATEWAY_CALL_TIMEOUT_S = env_number("TOLLGATE_CALL_TIMEOUT_S", 3600, 0.1)
GATEWAY_DRAIN_TIMEOUT_S = env_number("TOLLGATE_DRAIN_TIMEOUT_S", 5, 0)
GATEWAY_DRAINS_MAX = int(env_number("TOLLGATE_DRAINS_MAX", 64, 0))
GATEWAY_MONEY_TIMEOUT_S = env_number("TOLLGATE_MONEY_TIMEOUT_S", 3, 0.05)
GATEWAY_CALLS_MAX = int(env_number("TOLLGATE_CALLS_MAX", 2048, 1))
METRICS_TOKEN = env_text("TOLLGATE_METRICS_TOKEN", "").strip()

# Image tasks: gateway/task_queue.py and gateway/task_run.py.
TASK_TIMEOUT_S = env_number("TOLLGATE_TASK_TIMEOUT_S", 900, 1)
TASK_LEASE_S = env_number("TOLLGATE_TASK_LEASE_S", 30, 0.5)
TASKS_PER_GROUP_MAX = int(env_number("TOLLGATE_TASKS_PER_GROUP", 8, 1))
TASKS_PER_PROVIDER_MAX = int(env_number("TOLLGATE_TASKS_PER_PROVIDER", 12, 1))
PICTURE_BYTES_MAX = int(env_number("TOLLGATE_PICTURE_BYTES_MAX", 50 * 1024 * 1024, 1024))
PICTURE_PIXELS_MAX = int(env_number("TOLLGATE_PICTURE_PIXELS_MAX", 64 * 1024 * 1024, 1024))
SOURCE_PIXELS_MAX = int(env_number("TOLLGATE_SOURCE_PIXELS_MAX", 32 * 1024 * 1024, 1024))
PICTURES_URL = env_text("TOLLGATE_PICTURES_URL", "")
PUBLIC_URL = env_text("TOLLGATE_PUBLIC_URL", "").rstrip("/")
ALLOW_LOOPBACK_URLS = env_flag("TOLLGATE_ALLOW_LOOPBACK_URLS", False)

ALLOWED_HOSTS = env_list("TOLLGATE_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env_list("TOLLGATE_TRUSTED_ORIGINS")
TRUST_PROXY = env_flag("TOLLGATE_TRUST_PROXY", False)
if TRUST_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_COOKIES = env_flag("TOLLGATE_SECURE_COOKIES", False)

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SITE_NAME = "Tollgate"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "django_htmx",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "template_partials",
    "accounts",
    "billing",
    "gateway",
    "guides",
]

MIDDLEWARE = [
    "config.security.ContentSecurityPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "accounts.security_sessions.SessionLifetimeMiddleware",
    "accounts.security_operators.OperatorMiddleware",
    "accounts.languages.ChosenLanguageMiddleware",
    "accounts.timezones.ViewerTimeZoneMiddleware",
]

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
                "accounts.navigation.navigation",
                "accounts.security_operators.second_factor_notice",
            ],
        },
    }
]

DATABASES = {
    "default": {**database_from_url(DATABASE_URL), "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True}
}
DATABASES["default"]["OPTIONS"].setdefault("pool", {"min_size": 1, "max_size": 16, "timeout": 5})

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "tollgate_cache",
        "OPTIONS": {"MAX_ENTRIES": 20_000},
    }
}

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = env_text("TOLLGATE_EMAIL_VERIFICATION", "optional")
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = int(env_number("TOLLGATE_REAUTHENTICATION_S", 900, 1))
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_RATE_LIMITS = {
    # By address of the account and place; by place; then by address, from all places together.
    "login_failed": "5/5m/key,20/5m/ip",
    "login_failed_anywhere": "100/h/key",
    "login": "30/m/ip",
    "signup": "10/m/ip,60/h/ip",
    "reset_password": "20/m/ip,5/h/key",
    "reset_password_from_key": "20/m/ip",
    "reauthenticate": "10/m/user",
    "change_password": "5/m/user",
    "manage_email": "10/m/user",
}
MFA_ADAPTER = "accounts.security_mfa.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = SITE_NAME
MFA_TOTP_TOLERANCE = 1
MFA_FORMS = {
    "authenticate": "accounts.security_mfa.CodeForm",
    "reauthenticate": "accounts.security_mfa.CodeAgainForm",
    "activate_totp": "accounts.security_mfa.AppForm",
    "add_webauthn": "accounts.security_mfa.PasskeyForm",
    "edit_webauthn": "accounts.security_mfa.PasskeyNameForm",
}
OPERATORS_NEED_MFA = env_flag("TOLLGATE_OPERATORS_NEED_MFA", False)
# The last entry of X-Forwarded-For, as for calls; without a proxy in front that header is the client's own word.
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if TRUST_PROXY else 0
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = SECURE_COOKIES
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = int(env_number("TOLLGATE_SESSION_IDLE_S", 7 * 24 * 3600, 600))
SESSION_LIFETIME_S = env_number("TOLLGATE_SESSION_LIFETIME_S", 30 * 24 * 3600, 600)
SECURE_HSTS_SECONDS = 31_536_000 if SECURE_COOKIES else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

EMAIL_BACKEND = env_text(
    "TOLLGATE_EMAIL_BACKEND", "django.core.mail.backends.filebased.EmailBackend"
)
EMAIL_FILE_PATH = TOLLGATE_HOME / "mail"
EMAIL_HOST = env_text("TOLLGATE_EMAIL_HOST", "localhost")
EMAIL_PORT = int(env_number("TOLLGATE_EMAIL_PORT", 25))
EMAIL_HOST_USER = env_text("TOLLGATE_EMAIL_USER", "")
EMAIL_HOST_PASSWORD = env_text("TOLLGATE_EMAIL_PASSWORD", "")
EMAIL_USE_TLS = env_flag("TOLLGATE_EMAIL_TLS", False)
DEFAULT_FROM_EMAIL = env_text("TOLLGATE_EMAIL_FROM", "tollgate@localhost")

STRIPE_SECRET_KEY = env_text("TOLLGATE_STRIPE_SECRET_KEY", "").strip()
STRIPE_WEBHOOK_SECRET = env_text("TOLLGATE_STRIPE_WEBHOOK_SECRET", "").strip()
STRIPE_BASE_URL = env_text("TOLLGATE_STRIPE_BASE_URL", "")
# An empty secret would verify what anybody signs with nothing.
if bool(STRIPE_SECRET_KEY) != bool(STRIPE_WEBHOOK_SECRET):
    raise ImproperlyConfigured(
        "TOLLGATE_STRIPE_SECRET_KEY and TOLLGATE_STRIPE_WEBHOOK_SECRET must be set together"
    )
if STRIPE_SECRET_KEY and find_spec("stripe") is None:
    raise ImproperlyConfigured("Stripe needs what requirements-stripe.txt names")

LANGUAGE_CODE = "en"
# Each in its own words: who looks for his language cannot read the others.
LANGUAGES = [("en", "English"), ("ko", "한국어"), ("zh-hans", "简体中文"), ("zh-hant", "繁體中文")]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["config.formats"]
LANGUAGE_COOKIE_NAME = "language"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_SAMESITE = "Lax"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

STATIC_URL = "/static/"
STATIC_ROOT = TOLLGATE_HOME / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "pictures": pictures_storage(PICTURES_URL, TOLLGATE_HOME / "pictures"),
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
        if (STATIC_ROOT / "staticfiles.json").exists()
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not (STATIC_ROOT / "staticfiles.json").exists()

# The management API: accounts/api.
API_REQUESTS_PER_MINUTE = int(env_number("TOLLGATE_API_REQUESTS_PER_MINUTE", 600, 1))
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.api.authentication.ManagementKeyAuthentication",
        "accounts.api.authentication.BrowserAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["accounts.api.throttling.CallerThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["accounts.api.parsing.StrictJSONParser"],
    "DEFAULT_PAGINATION_CLASS": None,
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "accounts.api.errors.answer_error",
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": f"{SITE_NAME} management API",
    "VERSION": "1",
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "PREPROCESSING_HOOKS": ["accounts.api.schema.keep_api"],
    "POSTPROCESSING_HOOKS": ["accounts.api.schema.complete"],
}

CELERY_BROKER_URL = env_text("CELERY_BROKER_URL", "filesystem://")
CELERY_BROKER_FOLDER = TOLLGATE_HOME / "broker"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env_text("TOLLGATE_LOG_LEVEL", "INFO")},
    # It would log each poll of each task.
    "loggers": {"httpx": {"level": "WARNING"}},
}
