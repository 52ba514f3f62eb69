"""Holds what fires against the routes anew once these, the channels, or a service or its team changed.

As Alertmanager's reload does: alerts that began while no route wanted them, or while a channel was
off, would else be news to nobody for as long as they fire.
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
from alerts.routing import Rule
from portal.core import locks

LOCK = 0x706F7274616C03  # names the lock in PostgreSQL
MARK = "routes-mark"
AGAIN = "routes-again"
STATE_SQL = """
SELECT (SELECT array_agg(id ORDER BY id) FROM alerts_channel WHERE enabled),
    (SELECT md5(string_agg(concat_ws(' ', id, team), ',' ORDER BY id)) FROM core_service WHERE team <> '')
"""
LABELS = ("id", "labels", "severity", "service__slug", "service__team")


def route_anew_if_changed() -> int:
    """Put what fires and was not told to everybody it should be back into the queue; return how many alerts.

    By one worker at a time: with thousands of both it takes a while, in which the next ticks have other work.
    """
    try:
        if _looked()[0]:
            return 0
        with locks.alone(LOCK) as is_alone:
            return _route_anew() if is_alone else 0
    except (RedisError, OSError):
        return 0  # without a memory of the routes, every tick would find them changed


def _looked() -> tuple[bool, str, list[Rule], frozenset[int]]:
    """Return whether what fires was held against the routes as they are: these, their mark, and the channels."""
    rules = load_rules()
    enabled, teams = _state()
    known = cache.get_many((MARK, AGAIN))
    mark = _mark(rules, sorted(enabled), teams, known.get(AGAIN))
    return known.get(MARK) == mark, mark, rules, enabled


def _route_anew() -> int:
    is_known, mark, rules, enabled = _looked()
    if is_known:
        return 0
    untold = _untold(rules, enabled)
    _requeue(untold)
    cache.set(MARK, mark, timeout=None)
    return len(untold)


def _state() -> tuple[frozenset[int], str | None]:
    """Return which channels are on, and what changes with the team of a service, which routes may ask for."""
    with connection.cursor() as cursor:
        cursor.execute(STATE_SQL)
        enabled, teams = cursor.fetchone()
    return frozenset(enabled or ()), teams


def _mark(*judged_by: object) -> str:
    written = repr(judged_by).encode("utf-8", "replace")
    return hashlib.blake2b(written, digest_size=16).hexdigest()


def look_again() -> None:
    """Let the next tick hold everything against the routes, though these are as they were.

    A part of the mark, not its removal: a tick that read the alerts before this would put its own back.
    Raises RedisError or OSError without Redis: whoever calls has to do so again.
    """
    cache.set(AGAIN, uuid.uuid4().hex, timeout=None)


@dataclass(slots=True)
class Told:
    """What the groups of firing alerts hold and have told: members, and alerts by channel."""

    waiting: set[int] = field(default_factory=set)
    seen: set[int] = field(default_factory=set)
    by_channel: dict[str, frozenset[int]] = field(default_factory=dict)


def _untold(rules: Sequence[Rule], enabled: frozenset[int]) -> list[int]:
    """Return the firing alerts that a channel should have heard of and has not. Who is at work is not disturbed."""
    firing = Alert.objects.firing().filter(acknowledged_at__isnull=True)
    groups = _groups(firing.only("pk")) if rules else {}
    routes = routing.Routes(rules)
    found = []
    for pk, labels, severity, slug, team in firing.values_list(*LABELS).iterator() if rules else ():
        known = labels_for_routing(labels, severity=severity, service=slug, team=team)
        if any(_is_news(pk, rule, known, groups, enabled) for rule in routes.matching(known)):
            found.append(pk)
    return found


def _is_news(
    alert_id: int,
    rule: Rule,
    labels: Mapping[str, str],
    groups: Mapping[Key, Told],
    enabled: frozenset[int],
) -> bool:
    group = groups.get((rule.id, routing.group_key(routing.group_labels(rule, labels))))
    if group is None or alert_id not in group.seen | group.waiting:
        return True
    wanted = enabled.intersection(rule.channels) if alert_id in group.seen else ()
    return any(alert_id not in group.by_channel.get(str(channel), ()) for channel in wanted)


def _groups(alerts: QuerySet[Alert]) -> dict[Key, Told]:
    """Return the groups that hold any of these alerts; two queries."""
    members = GroupMember.objects.filter(alert__in=alerts).values_list(
        "group_id", "alert_id", "transitions"
    )
    by_id: dict[int, Told] = {}
    for group, alert, transitions in members.iterator():
        told = by_id.setdefault(group, Told())
        (told.waiting if transitions else told.seen).add(alert)
    rows = NotificationGroup.objects.filter(pk__in=by_id)
    found: dict[Key, Told] = {}
    for pk, route, key, said in rows.values_list("pk", "route_id", "key", "told"):
        by_id[pk].by_channel = {
            channel: frozenset(firing) for channel, (_at, firing, _over) in said.items()
        }
        found[route, key] = by_id[pk]
    return found


def _requeue(alerts: Sequence[int]) -> None:
    """Let the beginning of these episodes be routed once more; demonstration data is news to nobody."""
    if not alerts:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE alerts_transition SET routed_at = NULL WHERE id IN (SELECT max(id) FROM alerts_transition"
            " WHERE alert_id = ANY(%s) AND kind IN ('opened', 'reopened') AND source <> 'demo' GROUP BY alert_id)",
            [list(alerts)],
        )
