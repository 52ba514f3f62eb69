"""Routes new transitions into alert groups; transitions without `routed_at` are the queue.

Each batch is one transaction with a fixed number of statements: claim, load, groups, members, mark.
Rows are locked in the same order everywhere (groups by route and key, then members), so that any
number of workers may do this at once without a deadlock.
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
from alerts.routing import Reason, RoutingRule

BATCH = 1000
# Transitions that may cause a notification. The others are only marked as routed.
NOTIFIABLE = (
    TransitionKind.OPENED,
    TransitionKind.REOPENED,
    TransitionKind.RESOLVED,
    TransitionKind.UNSUPPRESSED,
    TransitionKind.UNACKNOWLEDGED,
    TransitionKind.SEVERITY,
)


@dataclass(frozen=True, slots=True)
class PendingTransition:
    """A transition that is being routed, with the labels of its alert."""

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
    """Route waiting transitions in at most `batches` batches; return how many were routed."""
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
    transitions = _load(claimed)
    matches = [
        (rule, transition)
        for transition in transitions
        for rule in routes.matching(transition.labels)
    ]
    members = _assign_groups(matches, transitions, now)
    _upsert_members(members)
    known = {transition.id for _group, transition in members}
    _note_unrouted([transition for transition in transitions if transition.id not in known], now)
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


def _load(ids: list[int]) -> list[PendingTransition]:
    """Return the claimed transitions that may cause a notification; demonstration data never does."""
    notifiable = Transition.objects.filter(id__in=ids, kind__in=NOTIFIABLE).exclude(
        source=Source.DEMO
    )
    alert = ("labels", "severity", "service__slug", "service__team")
    rows = notifiable.order_by("id").values_list(
        "id", "alert_id", *(f"alert__{name}" for name in alert)
    )
    return [
        PendingTransition(number, alert_id, labels_for_routing(labels, severity=severity, service=slug, team=team))
        for number, alert_id, labels, severity, slug, team in rows
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class PendingGroup:
    """A group to be inserted or updated. `holds_alert`: an alert is a member already, so it is flushed now."""

    labels: dict[str, str]
    wait: timedelta = timedelta(0)
    interval: timedelta = timedelta(0)
    holds_alert: bool = False


Key = tuple[int, str]  # (route id, group key): the order in which groups are locked


def _assign_groups(
    matches: Sequence[tuple[RoutingRule, PendingTransition]],
    transitions: Sequence[PendingTransition],
    now: datetime,
) -> list[tuple[int, PendingTransition]]:
    """Create missing groups and set when each is flushed; return group ids with transitions.

    Groups that hold an alert although routes no longer lead it there are included: routes and labels
    change while alerts fire, and a channel that was notified of the start must be notified of the end.
    They are locked by the same statement, because two workers that each wait for a group of the other
    would deadlock.
    """
    wanted: dict[Key, PendingGroup] = {}
    keyed: dict[tuple[Key, int], PendingTransition] = {}
    for rule, transition in matches:
        labels = routing.group_labels(rule, transition.labels)
        key = (rule.id, routing.group_key(labels))
        wanted.setdefault(key, PendingGroup(labels, rule.group_wait, rule.group_interval))
        keyed[key, transition.id] = transition
    for key, labels, transition in _groups_holding(transitions):
        if (key, transition.id) not in keyed:
            wanted[key] = replace(wanted.get(key, PendingGroup(labels)), holds_alert=True)
            keyed[key, transition.id] = transition
    ids = _upsert_groups(wanted, now)
    return [(ids[key], transition) for (key, _number), transition in keyed.items()]


def _groups_holding(
    transitions: Sequence[PendingTransition],
) -> list[tuple[Key, dict[str, str], PendingTransition]]:
    """Return the groups that the alerts of `transitions` are members of already."""
    of_alert: dict[int, list[PendingTransition]] = {}
    for transition in transitions:
        of_alert.setdefault(transition.alert_id, []).append(transition)
    members = GroupMember.objects.filter(alert__in=of_alert)
    rows = members.values_list("group__route_id", "group__key", "group__labels", "alert_id")
    return [
        ((route, key), labels, transition)
        for route, key, labels, alert in rows
        for transition in of_alert[alert]
    ]


def _upsert_groups(wanted: Mapping[Key, PendingGroup], now: datetime) -> dict[Key, int]:
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
                "group_keys": [f"{route}:{key}" for route, key in ordered],
                "intervals": [row.interval for row in rows],
                "holds_alert": [row.holds_alert for row in rows],
            },
        )
        return {(int(route), str(key)): int(number) for number, route, key in cursor.fetchall()}


# A group that has sent a message waits for its group interval; one that has not, for its group wait.
_UPSERT_GROUPS = """
INSERT INTO alerts_notificationgroup AS g (route_id, key, labels, flush, next_flush_at, told)
SELECT v.route, v.key, v.labels, 0, %(now)s + v.wait, '{}'
FROM unnest(%(routes)s::bigint[], %(keys)s::text[], %(labels)s::jsonb[], %(waits)s::interval[])
    AS v (route, key, labels, wait)
ON CONFLICT (route_id, key) DO UPDATE SET next_flush_at = CASE
    WHEN (%(holds_alert)s::bool[])[array_position(%(group_keys)s::text[], g.route_id || ':' || g.key)]
        THEN least(g.next_flush_at, %(now)s)
    WHEN g.flushed_at IS NULL THEN least(g.next_flush_at, excluded.next_flush_at)
    ELSE least(g.next_flush_at, greatest(%(now)s, g.flushed_at + (
        (%(intervals)s::interval[])[array_position(%(group_keys)s::text[], g.route_id || ':' || g.key)]))) END
RETURNING id, route_id, key
"""


def _upsert_members(members: Sequence[tuple[int, PendingTransition]]) -> None:
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
                [group for group, _transition in members],
                [transition.alert_id for _group, transition in members],
                [transition.id for _group, transition in members],
            ],
        )


def _note_unrouted(transitions: Sequence[PendingTransition], now: datetime) -> None:
    """Write one row of the delivery log for the transitions of a batch that no route matches."""
    if not transitions:
        return
    Notification.objects.create(
        batch=f"unrouted:{transitions[0].id}",
        outcome=Outcome.WITHHELD,
        reason=Reason.NO_ROUTE,
        alert_ids=sorted({transition.alert_id for transition in transitions}),
        transition_ids=[transition.id for transition in transitions],
        created_at=now,
        finished_at=now,
    )
