"""Django settings; everything an installation may change comes from the environment (docs/configuration.md)."""

from typing import Any
from urllib.parse import urlsplit

from csp.constants import NONCE, NONE, SELF
from django.urls import reverse_lazy

from portal import __version__, env, telemetry
from portal.core.embedded.places import BASE_DIR, var_dir

VAR_DIR = var_dir()
VERSION = __version__
CONFIG_PROBLEMS = env.problems

# --- Identity and exposure ----------------------------------------------------------------------
DEBUG = env.boolean("DEBUG", False)
SECRET_KEY = env.secret("SECRET_KEY", VAR_DIR / "secrets" / "secret_key")
# The first key encrypts, all of them decrypt. To rotate, add a new key at the front.
FIELD_ENCRYPTION_KEYS = [
    key.strip()
    for key in env.secret("FIELD_ENCRYPTION_KEYS", VAR_DIR / "secrets" / "field_keys").split(",")
    if key.strip()
]
PORTAL_URL = env.url("PORTAL_URL", ("http", "https"), "http://127.0.0.1:8000")
_portal_host = urlsplit(PORTAL_URL).hostname or "localhost"
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", f"localhost,127.0.0.1,[::1],{_portal_host}")
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")
# MaxMind databases with the country and network of an address.
GEOIP_DATABASES = env.words("GEOIP_DATABASES")
METRICS_NETWORKS = env.networks("METRICS_NETWORKS")
METRICS_TOKEN = env.secret("METRICS_TOKEN", VAR_DIR / "secrets" / "metrics_token")
CSRF_TRUSTED_ORIGINS = [PORTAL_URL]
HTTPS = PORTAL_URL.startswith("https://")
WEB_CONCURRENCY = env.web_processes()  # read by gunicorn

# --- Upstreams named by the environment; they become managed rows at start ----------------------
PROMETHEUS_URL = env.urls("PROMETHEUS_URL")
ALERTMANAGER_URL = env.urls("ALERTMANAGER_URL")
CROWDSEC_URL = env.url("CROWDSEC_URL", ("http", "https"))
CROWDSEC_MACHINE = env.text("CROWDSEC_MACHINE").strip()
CROWDSEC_PASSWORD = env.text("CROWDSEC_PASSWORD").strip()
CROWDSEC_BOUNCER_KEY = env.text("CROWDSEC_BOUNCER_KEY").strip()
CROWDSEC_ENFORCE = env.boolean("CROWDSEC_ENFORCE", True)
SENTRY_API_URL = env.url("SENTRY_API_URL", ("http", "https"))
SENTRY_API_TOKEN = env.text("SENTRY_API_TOKEN").strip()
SENTRY_ORG = env.slug("SENTRY_ORG")
ELASTICSEARCH_URL = env.url("ELASTICSEARCH_URL", ("http", "https"))
ELASTICSEARCH_INDEX = env.text("ELASTICSEARCH_INDEX").strip()
ELASTICSEARCH_API_KEY = env.text("ELASTICSEARCH_API_KEY").strip()
KIBANA_URL = env.url("KIBANA_URL", ("http", "https"))
GRAFANA_URL = env.url("GRAFANA_URL", ("http", "https"))
# Labels of request metrics that name the caller.
TRAFFIC_CONSUMER_LABELS = env.label_names(
    "TRAFFIC_CONSUMER_LABELS", "consumer,client,client_id,client_name,caller"
)
TRACES_URL = env.url("TRACES_URL", ("http", "https"))
PORTAL_EMBEDDED = env.words("PORTAL_EMBEDDED")  # which of them `manage.py up` runs itself
NOTIFY_URLS = env.service_urls("NOTIFY_URLS")  # become managed channels at start
# Becomes a managed SIEM destination at start.
SIEM_URL = env.url("SIEM_URL", ("syslog+tcp", "syslog+tls", "https"))
SIEM_TOKEN = env.text("SIEM_TOKEN").strip()
SIEM_CA_FILE = env.text("SIEM_CA_FILE").strip()
POLL_SECONDS = env.integer("POLL_SECONDS", 15, minimum=1, maximum=3600)

# --- Applications -------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "portal.apps.PortalAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_prometheus",
    "django_otp",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "auditlog",
    "portal.core",
    "audit",
    "alerts",
    "monitoring",
    "security",
    "portal",
]
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "portal.core.request_context.RequestContextMiddleware",
    "portal.core.access_log.AccessLogMiddleware",
    "portal.core.headers.SecurityHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "security.identity.UserMiddleware",
    "security.identity.FactorMiddleware",
    "security.sessions.SessionLifetimeMiddleware",
    "security.suspicion.SuspicionMiddleware",
    "security.gate.GateMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ]
        },
    }
]

# --- PostgreSQL and Redis -----------------------------------------------------------------------
_database = {
    "ENGINE": "django_prometheus.db.backends.postgresql",
    "CONN_MAX_AGE": 60,
    "CONN_HEALTH_CHECKS": True,
    **env.database("DATABASE_URL"),
}
DATABASES: dict[str, Any] = {
    "default": _database,
    # The same database over a separate connection: what is written through it survives a rollback.
    "autocommit": {**_database, "TEST": {"MIRROR": "default"}},
}
DATABASE_ROUTERS = ["portal.core.routers.OneDatabaseRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.url("REDIS_URL", ("redis", "rediss", "unix"), "redis://127.0.0.1:6379/0")
CACHES: dict[str, Any] = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "portal",
        "OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 2},
    }
}

# --- Celery -------------------------------------------------------------------------------------
CELERY_BROKER_URL = env.celery_broker(REDIS_URL)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": "portal:celery:",
    "visibility_timeout": 600,
    # A request that queues a task must not hang when Redis does.
    "socket_timeout": 2,
    "socket_connect_timeout": 2,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # retry for ever: survive a long outage of Redis
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ALWAYS_EAGER = False
CELERY_TASK_DEFAULT_QUEUE = "portal"
CELERY_BEAT_SCHEDULER = "portal.beat:HeartbeatScheduler"
CELERY_TASK_TIME_LIMIT = 150
CELERY_TASK_SOFT_TIME_LIMIT = 120
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = False  # the work is still a row; the next tick claims it
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 400_000  # KiB
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_DB_REUSE_MAX = 500  # reopening the connection after every task doubles its cost
CELERY_TIMEZONE = "UTC"

# --- Authentication -----------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
CSRF_FAILURE_VIEW = "portal.error_views.csrf_failure"
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")
OTP_TOTP_ISSUER = "DevOps Portal"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = (
    ("__Host-session", "__Host-csrf") if HTTPS else ("portal_session", "portal_csrf")
)
SESSION_ENGINE = "security.session_store"
SESSION_IDLE_SECONDS = 30 * 60
SESSION_ABSOLUTE_SECONDS = 12 * 3600
SESSION_COOKIE_AGE = SESSION_ABSOLUTE_SECONDS

# --- Web security -------------------------------------------------------------------------------
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY: dict[str, Any] = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "style-src-attr": [
            "'unsafe-inline'"
        ],  # the theme sets style attributes, which cannot run scripts
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024 * 1024

# --- Static files, language, time ---------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "portal" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
LANGUAGE_CODE = "en-gb"
FORMAT_MODULE_PATH = ["portal.formats"]  # ISO dates, 24 hours
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"

# --- API ----------------------------------------------------------------------------------------
FILTERS_EMPTY_CHOICE_LABEL = "Any"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "security.authentication.TokenAuthentication",
        "security.authentication.VerifiedSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["security.permissions.ScopedPermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["portal.core.problems.StrictJSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["portal.core.filtering.StrictFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "portal.core.pagination.CursorPagination",
    "DEFAULT_SCHEMA_CLASS": "portal.schema.PortalSchema",
    "EXCEPTION_HANDLER": "portal.core.problems.problem_handler",
    "DEFAULT_THROTTLE_CLASSES": ["security.throttling.LimitsThrottle"],
    "URL_FORMAT_OVERRIDE": None,  # we handle ?format=csv ourselves
    "DATETIME_FORMAT": "iso-8601",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "DevOps Portal API",
    "DESCRIPTION": "The REST API of the DevOps Portal. Times are RFC 3339 in UTC, lists are paginated by cursor,"
    " and errors are problem documents (RFC 9457).",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "portal.schema.complete",
    ],
    "ENUM_NAME_OVERRIDES": {
        "AuditOutcome": "audit.models.Outcome",
        "IssueStatus": "monitoring.errors.models.IssueStatus",
        "FlagStatus": "security.models.FlagStatus",
        "SubjectKind": "security.models.SubjectKind",
        "BlockState": "security.api_blocks.STATES",
        "AlertState": "alerts.models.State",
        "SilenceState": "alerts.serializers.SILENCE_STATES",
        "NotificationKind": "alerts.notification_models.Kind",
        "NotificationReason": "alerts.notification_models.REASONS",
        "ServiceState": "monitoring.models.Status",
        "EpisodeLevel": "monitoring.episodes.SHADES",
        "FindingLevel": "portal.doctor_api.LEVELS",
    },
}

# --- Audit --------------------------------------------------------------------------------------
AUDIT_LOG_DIR = env.text("AUDIT_LOG_DIR") or str(VAR_DIR / "audit")
AUDIT_RETENTION_MONTHS = env.integer("AUDIT_RETENTION_MONTHS", 0, minimum=0, maximum=1200)
# Days to keep ended blocks; CrowdSec's community lists add tens of thousands a day.
BLOCK_RETENTION_DAYS = env.integer("BLOCK_RETENTION_DAYS", 365, minimum=0, maximum=36_500)
CROWDSEC_RETENTION_DAYS = env.integer("CROWDSEC_RETENTION_DAYS", 7, minimum=0, maximum=36_500)
AUTH_LOG_FILE = env.text("AUTH_LOG_FILE") or str(VAR_DIR / "log" / "auth.log")
AUDITLOG_DISABLE_REMOTE_ADDR = (
    True  # its middleware trusts the left-most address of X-Forwarded-For
)

# --- Observability of the portal itself ---------------------------------------------------------
SENTRY_DSN = env.dsn("SENTRY_DSN")
OTEL_EXPORTER_OTLP_ENDPOINT = env.url("OTEL_EXPORTER_OTLP_ENDPOINT", ("http", "https"))
ENVIRONMENT = env.text("PORTAL_ENVIRONMENT", "production")
LOG_LEVEL = env.text("LOG_LEVEL", "INFO").upper()
LOGSTASH_URL = env.server("LOGSTASH_URL", ("tcp", "tls"))
LOGGING = telemetry.logging_configuration(
    LOG_LEVEL,
    json=env.boolean("LOG_JSON", True),
    stream=env.choice("LOG_STREAM", ("stderr", "stdout")),
    file=env.text("LOG_FILE"),
    logstash=LOGSTASH_URL,
)
telemetry.start_sentry(SENTRY_DSN, release=VERSION, environment=ENVIRONMENT)

from portal.theme import UNFOLD  # noqa: E402, F401 - the theme names URLs of apps listed above
