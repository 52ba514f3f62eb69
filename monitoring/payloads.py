"""Parses Prometheus's JSON into typed structs (pure); ignores unknown fields, and counts and skips bad items.

https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec


class ActiveTarget(msgspec.Struct, frozen=True):
    """One item of `activeTargets`."""

    labels: dict[str, str]
    scrapeUrl: str
    health: str = "unknown"
    scrapePool: str = ""
    lastError: str = ""


class RuleAlert(msgspec.Struct, frozen=True):
    labels: dict[str, str]
    state: str = ""


class AlertingRule(msgspec.Struct, frozen=True):
    """An alerting rule; `lastError` is absent while it is healthy."""

    name: str
    state: str = ""
    health: str = "unknown"
    lastError: str = ""
    alerts: tuple[RuleAlert, ...] = ()
    labels: dict[str, str] = {}


class RuleGroup(msgspec.Struct, frozen=True):
    name: str = ""
    rules: tuple[dict[str, Any], ...] = ()


class BuildInfo(msgspec.Struct, frozen=True):
    version: str = ""


class RuntimeInfo(msgspec.Struct, frozen=True):
    startTime: str = ""
    reloadConfigSuccess: bool = True
    storageRetention: str = ""


T = TypeVar("T")


class PayloadError(ValueError):
    """The answer does not have the format of Prometheus's API; the message says where."""


def _each(items: Any, kind: type[T], what: str) -> tuple[list[T], int]:
    if not isinstance(items, list):
        raise PayloadError(f"Its {what} are not a list.")
    found, bad = [], 0
    for item in items:
        try:
            found.append(msgspec.convert(item, kind))
        except msgspec.ValidationError:
            bad += 1
    return found, bad


def active_targets(data: Any) -> tuple[list[ActiveTarget], int]:
    """Return the targets and the number of unreadable ones. Raises PayloadError."""
    if not isinstance(data, dict):
        raise PayloadError("Its targets are not an object.")
    return _each(data.get("activeTargets"), ActiveTarget, "targets")


def alerting_rules(data: Any) -> tuple[list[AlertingRule], int]:
    """Return all alerting rules of all groups. Raises PayloadError."""
    if not isinstance(data, dict):
        raise PayloadError("Its rules are not an object.")
    groups, bad = _each(data.get("groups"), RuleGroup, "rule groups")
    rules: list[AlertingRule] = []
    for group in groups:
        alerting = [rule for rule in group.rules if rule.get("type", "alerting") == "alerting"]
        good, unreadable = _each(alerting, AlertingRule, "rules")
        rules += good
        bad += unreadable
    return rules, bad


def info(data: Any, kind: type[T]) -> T:
    """Return build or runtime information; unreadable fields keep their defaults."""
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError:
        return kind()


def firing(rules: Iterable[AlertingRule]) -> list[RuleAlert]:
    return [alert for rule in rules for alert in rule.alerts if alert.state == "firing"]
