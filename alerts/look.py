"""One group at one look: what each channel of its route is told, or why it is not told.

The decisions are those of alerts.routing; here they become rows, and what the group remembers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from alerts import routing
from alerts.models import Alert, State
from alerts.notification_models import Channel, Notification, NotificationGroup, Outcome
from alerts.router import labels_for_routing
from alerts.routing import Entry, Now, Reason, Rule
from alerts.wording import compose


@dataclass
class Look:
    """One group as it is at this look, and what comes of it."""

    group: NotificationGroup
    rule: Rule
    now: datetime
    alerts: dict[int, Alert] = field(default_factory=dict)
    fresh: dict[int, list[int]] = field(default_factory=dict)  # alert id: transitions not yet seen
    changed: set[int] = field(default_factory=set)  # alerts whose severity became another
    rows: list[Notification] = field(default_factory=list)
    kept: frozenset[int] = frozenset()  # resolved in quiet hours; said when these end

    def ids(self, state: str) -> frozenset[int]:
        return frozenset(pk for pk, alert in self.alerts.items() if alert.state == state)


def decide(look: Look, channels: dict[int, Channel]) -> None:
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
        changed=frozenset(look.changed) & heard,
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
