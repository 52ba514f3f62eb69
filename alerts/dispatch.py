"""Looks at due groups and writes what each channel is told, or why it is not told.

A look is one transaction: claim groups, read their alerts, decide (alerts.routing), write
notifications, and note in the group what was said. The notification is the promise; sending it is
alerts.delivery's work.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from alerts import routing
from alerts.models import Alert, State
from alerts.notification_models import (
    Channel,
    GroupMember,
    Notification,
    NotificationGroup,
    Outcome,
    load_rules,
)
from alerts.router import labels_for_routing
from alerts.routing import Entry, Now, Reason, Rule
from alerts.wording import compose

log = logging.getLogger(__name__)
BATCH = 200
AFTER_FAILURE = timedelta(minutes=1)


@dataclass
class Look:
    """One group as it is at this look, and what comes of it."""

    group: NotificationGroup
    rule: Rule
    now: datetime
    alerts: dict[int, Alert] = field(default_factory=dict)
    fresh: dict[int, list[int]] = field(default_factory=dict)  # alert id: transitions not yet seen
    rows: list[Notification] = field(default_factory=list)
    kept: frozenset[int] = frozenset()  # resolved in quiet hours; said when these end

    def ids(self, state: str) -> frozenset[int]:
        return frozenset(pk for pk, alert in self.alerts.items() if alert.state == state)


def look_at_due(*, batches: int = 50) -> int:
    """Look at the groups that are due; return at how many."""
    done = 0
    for _ in range(batches):
        looked = _look_at_batch_or_each()
        done += looked
        if looked < BATCH:
            break
    return done


def _look_at_batch_or_each() -> int:
    """Look at a batch; when that fails, at each of its groups alone, so that one cannot stop the others."""
    try:
        return look_at_batch()
    except Exception:
        log.exception("A batch of groups could not be looked at; now one by one.")
    due = NotificationGroup.objects.filter(next_flush_at__lte=timezone.now())
    numbers = list(due.order_by("route_id", "key").values_list("pk", flat=True)[:BATCH])
    for number in numbers:
        try:
            look_at_batch(only=number)
        except Exception:
            log.exception("The group %d could not be looked at; tried again in a while.", number)
            rest = timezone.now() + AFTER_FAILURE
            NotificationGroup.objects.filter(pk=number).update(next_flush_at=rest)
    return len(numbers)


@transaction.atomic
def look_at_batch(*, only: int | None = None) -> int:
    """Look at one batch of due groups that no other worker holds, or at one group; return its size."""
    now = timezone.now()
    due = NotificationGroup.objects.filter(next_flush_at__lte=now).order_by("route_id", "key")
    due = due if only is None else due.filter(pk=only)
    groups = list(due.select_for_update(skip_locked=True)[:BATCH])
    if not groups:
        return 0
    rules = {rule.id: rule for rule in load_rules()}
    channels = Channel.objects.in_bulk({c for rule in rules.values() for c in rule.channels})
    looks = [_load_rule(group, rules, now) for group in groups]
    _load_alerts(looks)
    for look in looks:
        _decide(look, channels)
    _insert([row for look in looks for row in look.rows])
    _update(groups)
    _forget_members(looks)
    return len(groups)


def _load_rule(group: NotificationGroup, rules: dict[int, Rule], now: datetime) -> Look:
    """A route that was switched off keeps its groups, without channels, until they are empty."""
    rule = rules.get(group.route_id) or Rule(id=group.route_id, name="")
    return Look(group, rule, now)


def _load_alerts(looks: Sequence[Look]) -> None:
    by_group = {look.group.pk: look for look in looks}
    members = GroupMember.objects.filter(group__in=by_group).select_related("alert__service")
    for member in members.order_by("id"):
        look = by_group[member.group_id]
        look.alerts[member.alert_id] = member.alert
        if member.transitions:
            look.fresh[member.alert_id] = member.transitions


def _decide(look: Look, channels: dict[int, Channel]) -> None:
    """Decide for each channel of the route, and when the group is looked at next."""
    group, rule, now = look.group, look.rule, look.now
    group.flush += 1
    quiet_end = routing.quiet_until(rule.quiet, now)
    heard = _audible(look) if quiet_end else frozenset(look.alerts)
    _note_suppressed(look)
    if quiet_end:
        look.kept = look.ids(State.RESOLVED) - heard
        _note_quiet(look, heard)
    state = Now(
        firing=look.ids(State.FIRING) & heard,
        resolved=look.ids(State.RESOLVED) & heard,
        acknowledged=frozenset(pk for pk, a in look.alerts.items() if a.acknowledged_at) & heard,
    )
    if state.firing or state.resolved:
        for number in rule.channels:
            _tell(look, channels[number], state)
        if not rule.channels:
            _withhold(look, Reason.NO_CHANNEL, None, state.firing | state.resolved)
    _schedule(look, state, quiet_end)


def _audible(look: Look) -> frozenset[int]:
    """Return the alerts that go out in quiet hours too."""
    return frozenset(
        pk for pk, alert in look.alerts.items()
        if routing.speaks_up(look.rule.quiet, routing_labels(alert))
    )  # fmt: skip


def routing_labels(alert: Alert) -> dict[str, str]:
    service = alert.service
    return labels_for_routing(
        alert.labels,
        severity=alert.severity,
        service=service.slug if service else None,
        team=service.team if service else None,
    )


def _note_suppressed(look: Look) -> None:
    _withhold(look, Reason.SUPPRESSED, None, look.ids(State.SUPPRESSED))


def _note_quiet(look: Look, heard: frozenset[int]) -> None:
    _withhold(look, Reason.QUIET_HOURS, None, frozenset(look.alerts) - heard - look.ids(State.SUPPRESSED))  # fmt: skip


def _tell(look: Look, channel: Channel, state: Now) -> None:
    """Decide about one channel, write the message or the reason, and remember what it knows now."""
    told = look.group.told
    entry = _entry(told.get(str(channel.pk)))
    wanted = look.rule.send_resolved and channel.send_resolved
    decision = routing.decide(
        entry, state, send_resolved=wanted, repeat_interval=look.rule.repeat_interval, now=look.now
    )
    if decision.send and channel.enabled:
        resolved = (
            state.resolved & (entry.firing if entry else frozenset()) if wanted else frozenset()
        )
        _send(look, channel, decision.reason, state.firing, resolved)
        unsaid = Reason.NEVER_ANNOUNCED if wanted else Reason.RESOLVED_OFF
        _withhold(look, unsaid, channel, state.resolved - resolved)
        entry = Entry(look.now, state.firing, resolved)
    else:
        _withhold(
            look,
            decision.reason if channel.enabled or not decision.send else Reason.CHANNEL_OFF,
            channel,
            state.firing | state.resolved,
        )
        if entry is not None:
            entry = Entry(entry.at, entry.firing - state.resolved, entry.resolved)
    if entry is not None:
        told[str(channel.pk)] = [entry.at.isoformat(), sorted(entry.firing), sorted(entry.resolved)]


def _entry(written: list[list[int] | str] | None) -> Entry | None:
    if not written:
        return None
    at, firing, resolved = written
    return Entry(
        datetime.fromisoformat(str(at)), frozenset(map(int, firing)), frozenset(map(int, resolved))
    )


def _send(
    look: Look, channel: Channel, reason: Reason, firing: Iterable[int], resolved: Iterable[int]
) -> None:
    """Add a message that waits to be delivered."""
    burning = [look.alerts[pk] for pk in sorted(firing)]
    over = [look.alerts[pk] for pk in sorted(resolved)]
    subject, body = compose(burning, over, repeated=reason == Reason.REPEAT, group=look.group)
    look.rows.append(
        Notification(
            batch=_batch(look, ""),
            channel=channel,
            channel_name=channel.name,
            route_id=look.group.route_id,
            outcome=Outcome.PENDING,
            reason=reason,
            subject=subject,
            body=body,
            firing=len(burning),
            resolved=len(over),
            alert_ids=sorted({*firing, *resolved}),
            transition_ids=sorted(
                number for pk in {*firing, *resolved} for number in look.fresh.get(pk, ())
            ),
            created_at=look.now,
            next_attempt_at=look.now,
        )
    )


def _withhold(look: Look, reason: Reason, channel: Channel | None, alerts: frozenset[int]) -> None:
    """Add a line that says why transitions were not sent; none when there were no new ones."""
    concerned = sorted(pk for pk in alerts if pk in look.fresh)
    if not concerned:
        return
    look.rows.append(
        Notification(
            batch=_batch(look, f":{reason.value}"),
            channel=channel,
            channel_name=channel.name if channel else "",
            route_id=look.group.route_id,
            outcome=Outcome.WITHHELD,
            reason=reason,
            subject=_about([look.alerts[pk] for pk in concerned]),
            alert_ids=concerned,
            transition_ids=sorted(number for pk in concerned for number in look.fresh[pk]),
            created_at=look.now,
            finished_at=look.now,
        )
    )


def _about(alerts: Sequence[Alert]) -> str:
    names = {alert.alertname for alert in alerts}
    many = f" ({len(alerts)} alerts)" if len(alerts) > 1 else ""
    return (f"{names.pop()}{many}" if len(names) == 1 else f"{len(alerts)} alerts")[:300]


def _batch(look: Look, suffix: str) -> str:
    return f"group:{look.group.pk}:{look.group.flush}{suffix}"


def _schedule(look: Look, state: Now, quiet_end: datetime | None) -> None:
    """Set when the group is looked at without a new transition: a repeat, or the end of quiet hours."""
    group, now = look.group, look.now
    open_ones = look.ids(State.FIRING) | look.ids(State.SUPPRESSED)
    if not open_ones and not look.kept:
        group.next_flush_at, group.flushed_at, group.told = None, None, {}
        return
    if any(row.outcome == Outcome.PENDING for row in look.rows):
        group.flushed_at = now
    entries = [entry for written in group.told.values() if (entry := _entry(written))]
    group.next_flush_at = routing.next_look(entries, state, rule=look.rule, now=now)
    if quiet_end:
        group.next_flush_at = min(group.next_flush_at or quiet_end, quiet_end)


_COLUMNS = [(field.attname, str(field.column)) for field in Notification._meta.concrete_fields
            if not field.primary_key]  # fmt: skip


def _insert(rows: Sequence[Notification]) -> None:
    """Add notifications by COPY; the lock on their groups rules out that they are there already."""
    if not rows:
        return
    names = ", ".join(column for _attribute, column in _COLUMNS)
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY alerts_notification ({names}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row([getattr(row, attribute) for attribute, _column in _COLUMNS])


def _update(groups: Sequence[NotificationGroup]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE alerts_notificationgroup g SET flush = v.flush, flushed_at = v.flushed_at,"
            " next_flush_at = v.next_flush_at, told = v.told FROM unnest(%s::bigint[], %s::int[],"
            " %s::timestamptz[], %s::timestamptz[], %s::jsonb[])"
            " AS v (id, flush, flushed_at, next_flush_at, told) WHERE g.id = v.id",
            [
                [group.pk for group in groups],
                [group.flush for group in groups],
                [group.flushed_at for group in groups],
                [group.next_flush_at for group in groups],
                [json.dumps(group.told) for group in groups],
            ],
        )


def _forget_members(looks: Sequence[Look]) -> None:
    """Resolved alerts leave their groups; of the others, the transitions are dealt with."""
    groups = [look.group.pk for look in looks]
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM alerts_groupmember m USING alerts_alert a"
            " WHERE m.group_id = ANY(%s) AND a.id = m.alert_id AND a.id = ANY(%s)",
            [groups, [pk for look in looks for pk in look.ids(State.RESOLVED) - look.kept]],
        )
        cursor.execute(
            "UPDATE alerts_groupmember SET transitions = '{}'"
            " WHERE group_id = ANY(%s) AND transitions <> '{}'",
            [groups],
        )
