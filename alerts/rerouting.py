"""Routes firing alerts again after routes, channels, or a service or its team have changed.

Alertmanager does so when it reloads. Without it, nobody would be notified of an alert that began
while no route matched it, or while a channel was disabled, for as long as it fires.
"""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.core.cache import cache
from django.db import connection
from django.db.models import QuerySet
from redis.exceptions import RedisError

from alerts import routing
from alerts.models import Alert
from alerts.notification_models import GroupMember, NotificationGroup, load_rules
from alerts.router import Key, labels_for_routing
from alerts.routing import RoutingRule
from portal.core import locks

LOCK = 0x706F7274616C03  # key of the advisory lock in PostgreSQL
FINGERPRINT_KEY = "routes-mark"
REQUEST_KEY = "routes-again"
STATE_SQL = """
SELECT (SELECT array_agg(id ORDER BY id) FROM alerts_channel WHERE enabled),
    (SELECT md5(string_agg(concat_ws(' ', id, team), ',' ORDER BY id)) FROM core_service WHERE team <> '')
"""
LABELS = ("id", "labels", "severity", "service__slug", "service__team")


def reroute_if_changed() -> int:
    """Requeue firing alerts that a channel should have been notified of but was not; return how many.

    One worker at a time: with thousands of alerts and routes it takes longer than the next ticks may wait.
    """
    try:
        if _current().is_applied:
            return 0
        with locks.alone(LOCK) as is_alone:
            return _reroute() if is_alone else 0
    except (RedisError, OSError):
        return 0  # without the stored fingerprint, every tick would find the routes changed


@dataclass(frozen=True, slots=True)
class Configuration:
    """The routes and enabled channels, their fingerprint, and whether firing alerts were routed by it."""

    rules: list[RoutingRule]
    enabled: frozenset[int]
    fingerprint: str
    is_applied: bool


def _current() -> Configuration:
    rules = load_rules()
    enabled, teams = _state()
    stored = cache.get_many((FINGERPRINT_KEY, REQUEST_KEY))
    fingerprint = _fingerprint(rules, sorted(enabled), teams, stored.get(REQUEST_KEY))
    return Configuration(rules, enabled, fingerprint, stored.get(FINGERPRINT_KEY) == fingerprint)


def _reroute() -> int:
    configuration = _current()
    if configuration.is_applied:
        return 0
    unnotified = _unnotified(configuration.rules, configuration.enabled)
    _requeue(unnotified)
    cache.set(FINGERPRINT_KEY, configuration.fingerprint, timeout=None)
    return len(unnotified)


def _state() -> tuple[frozenset[int], str | None]:
    """Return the enabled channels, and a hash of the teams of all services, which routes may match."""
    with connection.cursor() as cursor:
        cursor.execute(STATE_SQL)
        enabled, teams = cursor.fetchone()
    return frozenset(enabled or ()), teams


def _fingerprint(*inputs: object) -> str:
    written = repr(inputs).encode("utf-8", "replace")
    return hashlib.blake2b(written, digest_size=16).hexdigest()


def request_reroute() -> None:
    """Make the next tick route firing alerts again although the routes are unchanged.

    This changes an input of the fingerprint instead of deleting it: a tick that read the alerts before
    this call would store its own fingerprint again. Raises RedisError or OSError when Redis is down;
    the caller must then call again later.
    """
    cache.set(REQUEST_KEY, uuid.uuid4().hex, timeout=None)


@dataclass(slots=True)
class Membership:
    """The alerts in a group: not flushed yet, flushed, and last sent as firing to each channel."""

    waiting: set[int] = field(default_factory=set)
    flushed: set[int] = field(default_factory=set)
    sent: dict[str, frozenset[int]] = field(default_factory=dict)


def _unnotified(rules: Sequence[RoutingRule], enabled: frozenset[int]) -> list[int]:
    """Return firing, unacknowledged alerts that some channel should have been notified of and was not."""
    firing = Alert.objects.firing().filter(acknowledged_at__isnull=True)
    groups = _groups(firing.only("pk")) if rules else {}
    routes = routing.Routes(rules)
    found = []
    for pk, labels, severity, slug, team in firing.values_list(*LABELS).iterator() if rules else ():
        known = labels_for_routing(labels, severity=severity, service=slug, team=team)
        if any(_is_unnotified(pk, rule, known, groups, enabled) for rule in routes.matching(known)):
            found.append(pk)
    return found


def _is_unnotified(
    alert_id: int,
    rule: RoutingRule,
    labels: Mapping[str, str],
    groups: Mapping[Key, Membership],
    enabled: frozenset[int],
) -> bool:
    group = groups.get((rule.id, routing.group_key(routing.group_labels(rule, labels))))
    if group is None or alert_id not in group.flushed | group.waiting:
        return True
    wanted = enabled.intersection(rule.channels) if alert_id in group.flushed else ()
    return any(alert_id not in group.sent.get(str(channel), ()) for channel in wanted)


def _groups(alerts: QuerySet[Alert]) -> dict[Key, Membership]:
    """Return the groups that hold any of these alerts; two queries."""
    members = GroupMember.objects.filter(alert__in=alerts).values_list(
        "group_id", "alert_id", "transitions"
    )
    by_id: dict[int, Membership] = {}
    for group, alert, transitions in members.iterator():
        membership = by_id.setdefault(group, Membership())
        (membership.waiting if transitions else membership.flushed).add(alert)
    rows = NotificationGroup.objects.filter(pk__in=by_id)
    found: dict[Key, Membership] = {}
    for pk, route, key, told in rows.values_list("pk", "route_id", "key", "told"):
        by_id[pk].sent = {
            channel: frozenset(firing) for channel, (_at, firing, _resolved) in told.items()
        }
        found[route, key] = by_id[pk]
    return found


def _requeue(alerts: Sequence[int]) -> None:
    """Put the opening transition of these episodes back into the queue; never that of demonstration data."""
    if not alerts:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE alerts_transition SET routed_at = NULL WHERE id IN (SELECT max(id) FROM alerts_transition"
            " WHERE alert_id = ANY(%s) AND kind IN ('opened', 'reopened') AND source <> 'demo' GROUP BY alert_id)",
            [list(alerts)],
        )
