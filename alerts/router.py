"""Hands new transitions to groups: the transition that is not yet routed is the queue.

Each batch is one transaction with a fixed number of statements: claim, load, groups, members, mark.
Rows are locked in one order everywhere (groups by route and key, then members), so that any number
of workers may do this at once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from alerts import routing
from alerts.models import Source, Transition, TransitionKind
from alerts.notification_models import GroupMember, Notification, Outcome, load_rules
from alerts.routing import Reason, Rule

BATCH = 1000
# What may change what people have been told. The others are marked as routed, and no more.
NEWS = (
    TransitionKind.OPENED,
    TransitionKind.REOPENED,
    TransitionKind.RESOLVED,
    TransitionKind.UNSUPPRESSED,
    TransitionKind.UNACKNOWLEDGED,
    TransitionKind.SEVERITY,
)


@dataclass(frozen=True, slots=True)
class Step:
    """A transition on its way into groups, with the labels of its alert."""

    id: int
    alert_id: int
    labels: dict[str, str]


def labels_for_routing(
    labels: dict[str, str], *, severity: str, service: str | None, team: str | None
) -> dict[str, str]:
    """Return the alert's labels, with `service` and `team` of the catalogue where it has none itself."""
    known = {"service": service, "team": team, "severity": severity}
    return {**{name: value for name, value in known.items() if value}, **labels}


def route_waiting(*, batches: int = 20) -> int:
    """Route what waits, at most so many batches; return how many transitions were routed."""
    done = 0
    for _ in range(batches):
        routed = route_batch()
        done += routed
        if routed < BATCH:
            break
    return done


@transaction.atomic
def route_batch() -> int:
    """Route one batch of transitions that no other worker holds; return its size."""
    now = timezone.now()
    claimed = _claim()
    if not claimed:
        return 0
    routes = routing.Routes(load_rules())
    steps = _load(claimed)
    places = [(rule, step) for step in steps for rule in routes.matching(step.labels)]
    members = _groups_of(places, steps, now)
    _upsert_members(members)
    known = {step.id for _group, step in members}
    _note_unrouted([step for step in steps if step.id not in known], now)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE alerts_transition SET routed_at = %s WHERE id = ANY(%s)", [now, claimed]
        )
    return len(claimed)


def _claim() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM alerts_transition WHERE routed_at IS NULL ORDER BY id LIMIT %s"
            " FOR UPDATE SKIP LOCKED",
            [BATCH],
        )
        return [int(row[0]) for row in cursor.fetchall()]


def _load(ids: list[int]) -> list[Step]:
    """Return the news among the claimed transitions. Demonstration data is news to nobody."""
    news = Transition.objects.filter(id__in=ids, kind__in=NEWS).exclude(source=Source.DEMO)
    alert = ("labels", "severity", "service__slug", "service__team")
    rows = news.order_by("id").values_list("id", "alert_id", *(f"alert__{name}" for name in alert))
    return [
        Step(number, alert_id, labels_for_routing(labels, severity=severity, service=slug, team=team))
        for number, alert_id, labels, severity, slug, team in rows
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """A group on its way into the table; one that is `held` is looked at now."""

    labels: dict[str, str]
    wait: timedelta = timedelta(0)
    interval: timedelta = timedelta(0)
    held: bool = False


Key = tuple[int, str]  # route and key: what groups are ordered and locked by


def _groups_of(
    places: Sequence[tuple[Rule, Step]], steps: Sequence[Step], now: datetime
) -> list[tuple[int, Step]]:
    """Make the groups that are missing, and set when each is looked at; return group ids with steps.

    Groups that hold an alert although its route leads elsewhere now belong to it: routes and labels
    change while alerts fire, and whoever was told of the beginning hears of the end. They are locked by
    the same statement: two workers that each wait for a group of the other would be a deadlock.
    """
    wanted: dict[Key, Place] = {}
    keyed: dict[tuple[Key, int], Step] = {}
    for rule, step in places:
        labels = routing.group_labels(rule, step.labels)
        key = (rule.id, routing.group_key(labels))
        wanted.setdefault(key, Place(labels, rule.group_wait, rule.group_interval))
        keyed[key, step.id] = step
    for key, labels, step in _held(steps):
        if (key, step.id) not in keyed:
            wanted[key] = replace(wanted.get(key, Place(labels)), held=True)
            keyed[key, step.id] = step
    ids = _upsert_groups(wanted, now)
    return [(ids[key], step) for (key, _number), step in keyed.items()]


def _held(steps: Sequence[Step]) -> list[tuple[Key, dict[str, str], Step]]:
    """Return the groups that the alerts of `steps` are members of already."""
    of_alert: dict[int, list[Step]] = {}
    for step in steps:
        of_alert.setdefault(step.alert_id, []).append(step)
    members = GroupMember.objects.filter(alert__in=of_alert)
    rows = members.values_list("group__route_id", "group__key", "group__labels", "alert_id")
    return [
        ((route, key), labels, step)
        for route, key, labels, alert in rows
        for step in of_alert[alert]
    ]


def _upsert_groups(wanted: Mapping[Key, Place], now: datetime) -> dict[Key, int]:
    if not wanted:
        return {}
    ordered = sorted(wanted)
    rows = [wanted[key] for key in ordered]
    with connection.cursor() as cursor:
        cursor.execute(
            _UPSERT_GROUPS,
            {
                "now": now,
                "routes": [route for route, _key in ordered],
                "keys": [key for _route, key in ordered],
                "labels": [json.dumps(row.labels) for row in rows],
                "waits": [row.wait for row in rows],
                "places": [f"{route}:{key}" for route, key in ordered],
                "intervals": [row.interval for row in rows],
                "held": [row.held for row in rows],
            },
        )
        return {(int(route), str(key)): int(number) for number, route, key in cursor.fetchall()}


# A group that was spoken of waits for its interval; one that never was, for its wait.
_UPSERT_GROUPS = """
INSERT INTO alerts_notificationgroup AS g (route_id, key, labels, flush, next_flush_at, told)
SELECT v.route, v.key, v.labels, 0, %(now)s + v.wait, '{}'
FROM unnest(%(routes)s::bigint[], %(keys)s::text[], %(labels)s::jsonb[], %(waits)s::interval[])
    AS v (route, key, labels, wait)
ON CONFLICT (route_id, key) DO UPDATE SET next_flush_at = CASE
    WHEN (%(held)s::bool[])[array_position(%(places)s::text[], g.route_id || ':' || g.key)]
        THEN least(g.next_flush_at, %(now)s)
    WHEN g.flushed_at IS NULL THEN least(g.next_flush_at, excluded.next_flush_at)
    ELSE least(g.next_flush_at, greatest(%(now)s, g.flushed_at + (
        (%(intervals)s::interval[])[array_position(%(places)s::text[], g.route_id || ':' || g.key)]))) END
RETURNING id, route_id, key
"""


def _upsert_members(members: Sequence[tuple[int, Step]]) -> None:
    if not members:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO alerts_groupmember AS m (group_id, alert_id, transitions)"
            " SELECT g, a, array_agg(t ORDER BY t)"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS v (g, a, t)"
            " GROUP BY g, a ORDER BY g, a ON CONFLICT (group_id, alert_id)"
            " DO UPDATE SET transitions = m.transitions || excluded.transitions",
            [
                [group for group, _step in members],
                [step.alert_id for _group, step in members],
                [step.id for _group, step in members],
            ],
        )


def _note_unrouted(steps: Sequence[Step], now: datetime) -> None:
    """Write one line of the log for the transitions of a batch that no route wants."""
    if not steps:
        return
    Notification.objects.create(
        batch=f"unrouted:{steps[0].id}",
        outcome=Outcome.WITHHELD,
        reason=Reason.NO_ROUTE,
        alert_ids=sorted({step.alert_id for step in steps}),
        transition_ids=[step.id for step in steps],
        created_at=now,
        finished_at=now,
    )
