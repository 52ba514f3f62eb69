"""Checks names, durations and labels of a rule as Prometheus does (pure); each error says what to write.

https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
"""

import re
from collections.abc import Mapping
from typing import Any

from monitoring.rules.templates import TemplateError, parse
from portal.core import sanitize

LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.A)
# Units in Prometheus's order, each at most once.
_DURATION = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.A
)
_UNIT_SECONDS = (365 * 86400, 7 * 86400, 86400, 3600, 60, 1, 0.001)
MAX_DURATION_SECONDS = 365 * 86400
MAX_LABELS = 30
MAX_TEXT = 4000
# The portal fills these from separate fields.
OWN_LABELS = {
    "alertname": "the name of the rule",
    "severity": "the field severity",
    "service": "the field service",
}
OWN_ANNOTATIONS = ("summary", "description", "runbook_url")


class GrammarError(ValueError):
    """Prometheus would reject this; the message says what to write instead."""


def duration_seconds(written: str) -> float:
    """Return the seconds of a Prometheus duration such as `5m`, `1h30m` or `0`. Raises GrammarError."""
    found = _DURATION.fullmatch(written) if len(written) <= 40 else None
    if written == "0":
        return 0
    if not written or found is None:
        raise GrammarError(
            f"{written[:40]!r} is not a duration. Write numbers with units, largest first: 30s, 5m, 1h30m."
        )
    seconds = sum(int(n) * unit for n, unit in zip(found.groups(), _UNIT_SECONDS, strict=True) if n)
    if seconds > MAX_DURATION_SECONDS:
        raise GrammarError("A duration can be at most a year. Write a shorter one, for example 5m.")
    return seconds


def check_line(written: str) -> None:
    """Reject a name that is empty, invisible or spread over several lines. Raises GrammarError."""
    if not written.strip() or not written.isprintable():
        raise GrammarError("Write a name of letters, digits and punctuation on one line.")


def check_label_name(name: str) -> None:
    if not LABEL_NAME.fullmatch(name) or len(name) > 200:
        raise GrammarError(
            f"{name[:60]!r} is not a label name. Use letters, digits and _, not starting with a digit."
        )
    if name.startswith("__"):
        raise GrammarError(
            f"{name[:60]!r} starts with __, which Prometheus reserves for itself. Choose another name."
        )


def check_text(name: str, written: Any) -> None:
    """Reject what is not a string, too long, or not a valid template. Raises GrammarError."""
    if not isinstance(written, str):
        raise GrammarError(f"The value of {name} must be a string; put it in quotes.")
    if len(written) > MAX_TEXT:
        raise GrammarError(f"The text of {name} is longer than {MAX_TEXT} characters. Shorten it.")
    without_returns = written.replace("\r\n", "\n")
    if sanitize.text(without_returns, MAX_TEXT) != without_returns:
        raise GrammarError(f"The text of {name} contains control characters. Remove them.")
    try:
        parse(written)
    except TemplateError as error:
        raise GrammarError(f"{name}: {error}") from error


def check_labels(labels: Any) -> None:
    """Check the additional labels of a rule. Raises GrammarError."""
    _check_map(labels, "Labels", '{"team": "payments"}')
    for name in labels:
        if name in OWN_LABELS:
            raise GrammarError(f"The label {name} is set from {OWN_LABELS[name]}. Remove it.")


def check_annotations(annotations: Any) -> None:
    """Check the additional annotations of a rule. Raises GrammarError."""
    _check_map(annotations, "Annotations", '{"dashboard": "https://grafana.example/d/shop"}')
    for name in annotations:
        if name in OWN_ANNOTATIONS:
            raise GrammarError(f"The annotation {name} has a field of its own. Remove it here.")


def _check_map(given: Any, what: str, example: str) -> None:
    if not isinstance(given, Mapping):
        raise GrammarError(f"{what} must be an object of strings, for example {example}.")
    if len(given) > MAX_LABELS:
        raise GrammarError(f"{what}: at most {MAX_LABELS}.")
    for name, value in given.items():
        check_label_name(name)
        check_text(name, value)
