"""Configures logging in ECS field names, and the portal's own error reporting with sentry-sdk."""

from typing import Any
from urllib.parse import parse_qsl

import sentry_sdk
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.scrubber import DEFAULT_DENYLIST, EventScrubber

from portal.core.sanitize import without_secrets

SECRET_NAMES = [
    *DEFAULT_DENYLIST,
    "otp_token",
    "code",
    "credentials",
    "seed",
    "recovery_code",
    "dsn",
]


FILTERS = {
    "refusals": {"()": "portal.core.logs.RefusalsInOneLine"},
    "secrets": {"()": "portal.core.logs.NoSecrets"},
}


def start_sentry(dsn: str, *, release: str, environment: str) -> None:
    """Report errors to `dsn`; does nothing when it is empty."""
    if not dsn:
        return
    sentry_sdk.init(
        dsn=dsn,
        release=f"devops-portal@{release}",
        environment=environment,
        integrations=[DjangoIntegration(), CeleryIntegration()],
        max_request_body_size="never",
        include_local_variables=False,
        before_send=without_query_values,
        event_scrubber=EventScrubber(denylist=SECRET_NAMES, recursive=True),
    )


def without_query_values(event: Any, _hint: Any) -> Any:
    """Keep only the names of query parameters: sentry-sdk sends the query as one string, which it does not scrub.

    It does not scrub the path either, which is the secret of a one-time link.
    """
    request = event.get("request") or {}
    if isinstance(url := request.get("url"), str):
        request["url"] = without_secrets(url)
    if isinstance(query := request.get("query_string"), str):
        names = [name for name, _value in parse_qsl(query, keep_blank_values=True)]
        request["query_string"] = "&".join(f"{name}=[Filtered]" for name in names)
    return event


def logging_configuration(
    level: str, *, json: bool, stream: str = "stderr", file: str = "", logstash: str = ""
) -> dict[str, Any]:
    """Return a `dictConfig` that writes one line per event: ECS JSON, or plain text, to `stream`.

    `file` and `logstash` always get ECS JSON.
    """
    known = level if level in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"} else "INFO"
    handlers: dict[str, dict[str, Any]] = {
        "stream": {
            "class": "logging.StreamHandler",
            "stream": f"ext://sys.{stream}",
            "formatter": "ecs" if json else "text",
        }
    }
    if file:
        handlers["file"] = {
            "class": "portal.core.log_file.LineFileHandler", "path": file, "formatter": "line"
        }  # fmt: skip
    if logstash:
        handlers["logstash"] = {
            "class": "portal.core.log_shipping.LogstashHandler", "url": logstash, "formatter": "line"
        }  # fmt: skip
    for handler in handlers.values():
        handler["filters"] = [*FILTERS]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": FILTERS,
        "formatters": {
            "ecs": {"()": "portal.core.logs.EcsFormatter"},
            "line": {"()": "portal.core.log_lines.LineFormatter"},
            "text": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        },
        "handlers": handlers,
        "root": {"handlers": list(handlers), "level": known},
        "loggers": {
            "django.server": {"handlers": ["stream"], "level": "WARNING", "propagate": False},
            # Celery logs each task twice at INFO; the portal's own line for a poll says more.
            "celery": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "celery.beat": {"level": "WARNING"},
            "urllib3": {"level": "ERROR"},
        },
    }
