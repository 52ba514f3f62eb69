"""Flushes one alert group: decides which message each channel of its route gets, or why it gets none.

alerts.routing makes the decisions. This module turns them into rows of the delivery log, and stores in
the group what was sent to each channel (`NotificationGroup.told`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from alerts import routing
from alerts.models import Alert, State
from alerts.notification_models import Channel, Notification, NotificationGroup, Outcome
from alerts.router import labels_for_routing
from alerts.routing import Entry, GroupState, Reason, RoutingRule
from alerts.wording import compose


@dataclass
class GroupFlush:
    """The state of a group when it is flushed, and the log rows that result."""

    group: NotificationGroup
    rule: RoutingRule
    now: datetime
    alerts: dict[int, Alert] = field(default_factory=dict)
    # alert id: ids of its transitions that no earlier flush has handled
    unseen: dict[int, list[int]] = field(default_factory=dict)
    changed: set[int] = field(default_factory=set)  # alerts whose severity has changed
    rows: list[Notification] = field(default_factory=list)
    kept: frozenset[int] = frozenset()  # resolved in quiet hours; notified when these end

    def ids(self, state: str) -> frozenset[int]:
        return frozenset(pk for pk, alert in self.alerts.items() if alert.state == state)


def decide(flush: GroupFlush, channels: dict[int, Channel]) -> None:
    """Decide for each channel of the route what to send, and set when the group is flushed next."""
    group, rule, now = flush.group, flush.rule, flush.now
    group.flush += 1
    quiet_end = routing.quiet_until(rule.quiet, now)
    audible = _audible(flush) if quiet_end else frozenset(flush.alerts)
    _withhold(flush, Reason.SUPPRESSED, None, flush.ids(State.SUPPRESSED))
    if quiet_end:
        flush.kept = flush.ids(State.RESOLVED) - audible
        quiet = frozenset(flush.alerts) - audible - flush.ids(State.SUPPRESSED)
        _withhold(flush, Reason.QUIET_HOURS, None, quiet)
    state = GroupState(
        firing=flush.ids(State.FIRING) & audible,
        resolved=flush.ids(State.RESOLVED) & audible,
        acknowledged=frozenset(pk for pk, a in flush.alerts.items() if a.acknowledged_at) & audible,
        changed=frozenset(flush.changed) & audible,
    )
    if state.firing or state.resolved:
        for number in rule.channels:
            _notify(flush, channels[number], state)
        if not rule.channels:
            _withhold(flush, Reason.NO_CHANNEL, None, state.firing | state.resolved)
    _schedule(flush, state, quiet_end)


def _audible(flush: GroupFlush) -> frozenset[int]:
    """Return the alerts that are sent in quiet hours as well."""
    return frozenset(
        pk
        for pk, alert in flush.alerts.items()
        if routing.ignores_quiet_hours(flush.rule.quiet, routing_labels(alert))
    )


def routing_labels(alert: Alert) -> dict[str, str]:
    service = alert.service
    return labels_for_routing(
        alert.labels,
        severity=alert.severity,
        service=service.slug if service else None,
        team=service.team if service else None,
    )


def _notify(flush: GroupFlush, channel: Channel, state: GroupState) -> None:
    """Queue a message for one channel, or log why not; store what was sent to the channel."""
    notified = flush.group.told
    entry = _entry(notified.get(str(channel.pk)))
    wanted = flush.rule.send_resolved and channel.send_resolved
    decision = routing.decide(
        entry,
        state,
        send_resolved=wanted,
        repeat_interval=flush.rule.repeat_interval,
        now=flush.now,
    )
    if decision.send and channel.enabled:
        resolved = (
            state.resolved & (entry.firing if entry else frozenset()) if wanted else frozenset()
        )
        _send(flush, channel, decision.reason, state.firing, resolved)
        reason = Reason.NEVER_ANNOUNCED if wanted else Reason.RESOLVED_OFF
        _withhold(flush, reason, channel, state.resolved - resolved)
        entry = Entry(flush.now, state.firing, resolved)
    else:
        _withhold(
            flush,
            decision.reason if channel.enabled or not decision.send else Reason.CHANNEL_OFF,
            channel,
            state.firing | state.resolved,
        )
        if entry is not None:
            entry = Entry(entry.at, entry.firing - state.resolved, entry.resolved)
    if entry is not None:
        notified[str(channel.pk)] = [
            entry.at.isoformat(),
            sorted(entry.firing),
            sorted(entry.resolved),
        ]


def _entry(stored: list[list[int] | str] | None) -> Entry | None:
    if not stored:
        return None
    at, firing, resolved = stored
    return Entry(
        datetime.fromisoformat(str(at)), frozenset(map(int, firing)), frozenset(map(int, resolved))
    )


def _send(
    flush: GroupFlush,
    channel: Channel,
    reason: Reason,
    firing: Iterable[int],
    resolved: Iterable[int],
) -> None:
    """Add a pending message to the delivery log."""
    firing_alerts = [flush.alerts[pk] for pk in sorted(firing)]
    resolved_alerts = [flush.alerts[pk] for pk in sorted(resolved)]
    subject, body = compose(
        firing_alerts, resolved_alerts, repeated=reason == Reason.REPEAT, group=flush.group
    )
    flush.rows.append(
        Notification(
            batch=_batch(flush, ""),
            channel=channel,
            channel_name=channel.name,
            route_id=flush.group.route_id,
            outcome=Outcome.PENDING,
            reason=reason,
            subject=subject,
            body=body,
            firing=len(firing_alerts),
            resolved=len(resolved_alerts),
            alert_ids=sorted({*firing, *resolved}),
            transition_ids=sorted(
                number for pk in {*firing, *resolved} for number in flush.unseen.get(pk, ())
            ),
            created_at=flush.now,
            next_attempt_at=flush.now,
        )
    )


def _withhold(
    flush: GroupFlush, reason: Reason, channel: Channel | None, alerts: frozenset[int]
) -> None:
    """Log why the new transitions of these alerts are not sent; nothing when there are none."""
    concerned = sorted(pk for pk in alerts if pk in flush.unseen)
    if not concerned:
        return
    flush.rows.append(
        Notification(
            batch=_batch(flush, f":{reason.value}"),
            channel=channel,
            channel_name=channel.name if channel else "",
            route_id=flush.group.route_id,
            outcome=Outcome.WITHHELD,
            reason=reason,
            subject=_summary([flush.alerts[pk] for pk in concerned]),
            alert_ids=concerned,
            transition_ids=sorted(number for pk in concerned for number in flush.unseen[pk]),
            created_at=flush.now,
            finished_at=flush.now,
        )
    )


def _summary(alerts: Sequence[Alert]) -> str:
    names = {alert.alertname for alert in alerts}
    many = f" ({len(alerts)} alerts)" if len(alerts) > 1 else ""
    return (f"{names.pop()}{many}" if len(names) == 1 else f"{len(alerts)} alerts")[:300]


def _batch(flush: GroupFlush, suffix: str) -> str:
    return f"group:{flush.group.pk}:{flush.group.flush}{suffix}"


def _schedule(flush: GroupFlush, state: GroupState, quiet_end: datetime | None) -> None:
    """Set when the group is flushed without a new transition: for a repeat, or when quiet hours end."""
    group, now = flush.group, flush.now
    open_ones = flush.ids(State.FIRING) | flush.ids(State.SUPPRESSED)
    if not open_ones and not flush.kept:
        group.next_flush_at, group.flushed_at, group.told = None, None, {}
        return
    if any(row.outcome == Outcome.PENDING for row in flush.rows):
        group.flushed_at = now
    entries = [entry for stored in group.told.values() if (entry := _entry(stored))]
    group.next_flush_at = routing.next_flush(entries, state, rule=flush.rule, now=now)
    if quiet_end:
        group.next_flush_at = min(group.next_flush_at or quiet_end, quiet_end)
