"""Validates the fields of upstreams and services; each message says what to write instead."""

import re
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError

from portal.core import log_fields, matchers
from portal.core.sockets import is_forbidden

OPTIONS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "verify_tls": (bool, "true or false"),
    "ca_file": (str, "the path of a PEM file"),
    "encoding": (str, '"identity" (local networks) or "gzip"'),
    "timeout_seconds": ((int, float), "a number of seconds"),
    "max_body_mb": (int, "a number of megabytes"),
    "watchdogs": (
        list,
        'a list of {"watchdog": ["alertname=\\"Watchdog\\""], "covers": ["cluster=\\"eu\\""]}',
    ),
    "discover_services": (bool, "true or false"),
    "organization": (str, "the slug of a Sentry organisation"),
    "projects": (list, 'a list of project slugs, for example ["shop"]; default: all'),
    "full_sync_minutes": (int, "the number of minutes between two full synchronisations"),
    "alert_projects": (list, "a list of project slugs whose new and regressed errors raise alerts"),
    "index": (str, 'the indices to search, for example "logs-*"'),
    "dashboards": (str, '"kibana7", "kibana8", "opensearch1" or "opensearch2"'),
    "data_view": (str, "the id of Kibana's data view or of the index pattern"),
    "grafana_datasource": (str, "the uid of this Prometheus in Grafana"),
}
# A slug becomes part of a URL path, where dots and slashes would lead elsewhere on the server.
SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_LABELS = 'for example {"team": "payments"}'

# A poll is killed after 120 seconds, and a body is held in memory.
BOUNDS = {
    "timeout_seconds": (1, 110),
    "max_body_mb": (1, 512),
    "full_sync_minutes": (5, 7 * 24 * 60),
}


def validate_server_urls(value: str) -> None:
    """Accept comma-separated `http(s)://host[:port][/path]`, single-label host names included."""
    members = [member.strip() for member in value.split(",") if member.strip()]
    if not members:
        raise ValidationError("Enter at least one URL, for example http://alertmanager:9093.")
    for member in members:
        try:
            parts = urlsplit(member)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or any(c.isspace() or ord(c) < 32 for c in member):
            raise ValidationError(f"{member[:200]!r} is not a server URL. Write http://host:port.")
        if is_forbidden(parts.hostname or ""):
            raise ValidationError(
                f"{parts.hostname} is an address of cloud metadata services, which hand out credentials. The"
                " portal never connects to it. Enter the address of the server."
            )
        if parts.username or parts.password:
            raise ValidationError(
                "Leave user and password out of the URL; there are fields for them."
            )
        if parts.query or parts.fragment:
            raise ValidationError("Enter only the address of the server, without ? or #.")


def validate_matchers(values: list[str]) -> None:
    for value in values:
        try:
            matchers.parse(value)
        except matchers.MatcherError as error:
            raise ValidationError(str(error)) from error


def validate_log_fields(values: list[str]) -> None:
    if len(values) > log_fields.MOST_PAIRS:
        raise ValidationError(f"Write at most {log_fields.MOST_PAIRS} pairs.")
    for value in values:
        try:
            log_fields.parse(value)
        except log_fields.LogFieldError as error:
            raise ValidationError(str(error)) from error


def validate_options(value: Any) -> None:
    if not isinstance(value, dict):
        raise ValidationError("Options must be a JSON object.")
    for name, given in value.items():
        if name not in OPTIONS:
            raise ValidationError(
                f"There is no option {name!r}. Available options: {', '.join(sorted(OPTIONS))}."
            )
        kind, wanted = OPTIONS[name]
        if not isinstance(given, kind) or (kind is not bool and isinstance(given, bool)):
            raise ValidationError(f"Option {name!r} must be {wanted}.")
    _validate_words(value)
    _validate_watchdogs(value.get("watchdogs", []))


def _validate_words(value: dict[str, Any]) -> None:
    """Check what the type alone does not: bounds, choices, and values that become part of a path."""
    for name, (least, most) in BOUNDS.items():
        if not least <= value.get(name, least) <= most:
            raise ValidationError(f"Option {name!r} must be between {least} and {most}.")
    if value.get("encoding", "identity") not in ("identity", "gzip"):
        raise ValidationError('Option "encoding" must be "identity" or "gzip".')
    # An index of only dots would change the path of the URL.
    if "index" in value and not value["index"].strip(" ."):
        raise ValidationError(f'Option "index" must be {OPTIONS["index"][1]}.')
    if value.get("dashboards", "kibana8") not in (
        "kibana7",
        "kibana8",
        "opensearch1",
        "opensearch2",
    ):
        raise ValidationError(f'Option "dashboards" must be {OPTIONS["dashboards"][1]}.')
    if "organization" in value and not SLUG.fullmatch(value["organization"]):
        raise ValidationError(
            f'Option "organization" must be {OPTIONS["organization"][1]}: letters, digits, - and _, as in the'
            " address of its pages."
        )
    for name in ("projects", "alert_projects"):
        if not all(isinstance(slug, str) and slug for slug in value.get(name, [])):
            raise ValidationError(f"Option {name!r} must be a list of strings.")


def _validate_watchdogs(entries: list[Any]) -> None:
    for entry in entries:
        if (
            not isinstance(entry, dict)
            or set(entry) - {"watchdog", "covers"}
            or not entry.get("watchdog")
            or not all(isinstance(written, list) for written in entry.values())
        ):
            raise ValidationError(
                'Each watchdog must be {"watchdog": [matchers], "covers": [matchers]}.'
            )
        for written in (*entry["watchdog"], *entry.get("covers", [])):
            if not isinstance(written, str):
                raise ValidationError("A matcher must be a string.")
            validate_matchers([written])


def validate_not_reserved(name: str) -> None:
    """Reject the name of the internal upstream, which carries the portal's own alerts."""
    if name == "portal":
        raise ValidationError('"portal" is reserved for the portal itself. Choose another name.')


def validate_labels(labels: Any) -> None:
    """Accept an object whose values are strings, like Prometheus's labels."""
    if not isinstance(labels, dict):
        raise ValidationError(f"Labels must be an object of strings, {_LABELS}.")
    for name, value in labels.items():
        if not isinstance(value, str):
            raise ValidationError(
                f"The value of {name!r} is not a string. Put it in quotes, {_LABELS}."
            )


def validate_pattern(value: str) -> None:
    try:
        matchers.build("body", "=~", value)
    except matchers.MatcherError as error:
        raise ValidationError(str(error)) from error
