"""Logging in ECS field names, and the portal's own error reporting by sentry-sdk."""

from typing import Any
from urllib.parse import parse_qsl

import sentry_sdk
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.scrubber import DEFAULT_DENYLIST, EventScrubber

SECRET_NAMES = [
    *DEFAULT_DENYLIST,
    "otp_token",
    "code",
    "credentials",
    "seed",
    "recovery_code",
    "dsn",
]


def start_sentry(dsn: str, *, release: str, environment: str) -> None:
    """Report errors to `dsn`; does nothing when it is empty."""
    if not dsn:
        return
    sentry_sdk.init(
        dsn=dsn,
        release=f"devops-portal@{release}",
        environment=environment,
        integrations=[DjangoIntegration(), CeleryIntegration()],
        send_default_pii=False,
        max_request_body_size="never",
        include_local_variables=False,
        before_send=without_query_values,
        event_scrubber=EventScrubber(denylist=SECRET_NAMES, recursive=True),
    )


def without_query_values(event: Any, _hint: Any) -> Any:
    """Keep only the names of a request's query: sentry-sdk sends it as one text, which nothing scrubs."""
    request = event.get("request") or {}
    if isinstance(query := request.get("query_string"), str):
        names = [name for name, _value in parse_qsl(query, keep_blank_values=True)]
        request["query_string"] = "&".join(f"{name}=[Filtered]" for name in names)
    return event


def logging_configuration(level: str, *, json: bool) -> dict[str, Any]:
    """Return a `dictConfig` that writes one line per event to stderr: ECS JSON, or plain text."""
    known = level if level in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"} else "INFO"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "ecs": {"()": "portal.core.logs.EcsFormatter"},
            "text": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "ecs" if json else "text"}
        },
        "root": {"handlers": ["stderr"], "level": known},
        "loggers": {
            "django.server": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
            # Celery logs each task twice at INFO; the plan line of a poll says more.
            "celery": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "celery.beat": {"level": "WARNING"},
            "urllib3": {"level": "ERROR"},
        },
    }
