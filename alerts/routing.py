"""Decides which alerts go to which channels, and whether a message is due (pure).

The decisions follow Alertmanager (dispatch and notify/needsUpdate), with a reason for each, so that
the delivery log and `explain` can say why a message was sent or not.
https://prometheus.io/docs/alerting/latest/configuration/#route
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from portal.core.matcher_index import Index
from portal.core.matchers import Matcher

EACH_ALERT = "..."  # Alertmanager's word for "group by all labels"


class Reason(StrEnum):
    """Why a message was made, or was withheld."""

    # A message is made.
    FIRST = "first"
    NEW_FIRING = "new_firing"
    SEVERITY = "severity"
    ALL_RESOLVED = "all_resolved"
    SOME_RESOLVED = "some_resolved"
    REPEAT = "repeat"
    DIGEST = "digest"
    TEST = "test"
    # A message is withheld.
    NO_ROUTE = "no_route"
    NO_CHANNEL = "no_channel"
    CHANNEL_OFF = "channel_off"
    SUPPRESSED = "suppressed"
    QUIET_HOURS = "quiet_hours"
    NEVER_ANNOUNCED = "never_announced"
    RESOLVED_OFF = "resolved_off"
    NOTHING_NEW = "nothing_new"
    ACKNOWLEDGED = "acknowledged"
    NOT_YET = "not_yet"
    STORM = "storm"


REASON_TEXTS: dict[str, str] = {
    Reason.FIRST: "The first message about this group.",
    Reason.NEW_FIRING: "An alert is firing that the last message did not include.",
    Reason.SEVERITY: "An alert is firing with a different severity than in the last message.",
    Reason.ALL_RESOLVED: "Everything that was announced as firing is resolved.",
    Reason.SOME_RESOLVED: "An alert of the group is resolved while others are still firing.",
    Reason.REPEAT: "Still firing, and the repeat interval has passed.",
    Reason.DIGEST: "The storm budget was used up; this message summarises what was held back.",
    Reason.TEST: "Somebody pressed the test button.",
    Reason.NO_ROUTE: "No enabled route matches the alert's labels.",
    Reason.NO_CHANNEL: "The route that matches has no channel.",
    Reason.CHANNEL_OFF: "The channel is disabled.",
    Reason.SUPPRESSED: "The alert is silenced or inhibited.",
    Reason.QUIET_HOURS: "The route is in its quiet hours; alerts that are still firing are sent when they end.",
    Reason.NEVER_ANNOUNCED: "It was resolved before anybody was notified that it was firing.",
    Reason.RESOLVED_OFF: "The route or the channel does not announce resolved alerts.",
    Reason.NOTHING_NEW: "The last message had the same content.",
    Reason.ACKNOWLEDGED: "Somebody has acknowledged it, so it is not repeated.",
    Reason.NOT_YET: "Still firing, as in the last message; the repeat interval has not passed.",
    Reason.STORM: "The channel's storm budget was used up; the message is included in a digest.",
}


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Hours of every day in which a route sends nothing; `until` before `since` spans midnight."""

    since: time
    until: time
    zone: str = "UTC"
    # What goes out all the same, for example severity="critical".
    unless: tuple[Matcher, ...] = ()


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """A route as the decisions need it. Without matchers it matches everything, as Alertmanager's root does."""

    id: int
    name: str
    matchers: tuple[Matcher, ...] = ()
    goes_on: bool = False
    group_by: tuple[str, ...] = ()
    group_wait: timedelta = timedelta(seconds=30)
    group_interval: timedelta = timedelta(minutes=5)
    repeat_interval: timedelta = timedelta(hours=4)
    send_resolved: bool = True
    quiet: QuietHours | None = None
    channels: tuple[int, ...] = ()


class Fit(StrEnum):
    """How a route compares with the labels of an alert."""

    MATCHED = "matched"
    MISMATCH = "mismatch"
    NOT_REACHED = "not_reached"


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """A route, how it compares with the labels, and the first matcher that failed, if any."""

    rule: RoutingRule
    fit: Fit
    failed: Matcher | None = None


def walk(rules: Sequence[RoutingRule], labels: Mapping[str, str]) -> list[RouteMatch]:
    """Match labels against the routes in order; stop at the first match unless its route continues."""
    results: list[RouteMatch] = []
    ended = False
    for rule in rules:
        failed = next((m for m in rule.matchers if not m.matches(labels)), None)
        if ended:
            results.append(RouteMatch(rule, Fit.NOT_REACHED))
        elif failed is not None:
            results.append(RouteMatch(rule, Fit.MISMATCH, failed))
        else:
            results.append(RouteMatch(rule, Fit.MATCHED))
            ended = not rule.goes_on
    return results


class Routes:
    """Routes in their order, indexed so that an alert is only compared with those that it may match."""

    def __init__(self, rules: Sequence[RoutingRule]) -> None:
        self._rules = rules
        self._index = Index(rule.matchers for rule in rules)

    def matching(self, labels: Mapping[str, str]) -> list[RoutingRule]:
        """Return the routes that `walk` reports as matched."""
        found: list[RoutingRule] = []
        for position in self._index.candidates(labels):
            rule = self._rules[position]
            if all(matcher.matches(labels) for matcher in rule.matchers):
                found.append(rule)
                if not rule.goes_on:
                    break
        return found


def group_labels(rule: RoutingRule, labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that name the alert's group; an absent one counts as empty."""
    if EACH_ALERT in rule.group_by:
        return dict(sorted(labels.items()))
    return {name: labels.get(name, "") for name in sorted(set(rule.group_by))}


def group_key(labels: Mapping[str, str]) -> str:
    """Return a short key that is the same for the same group labels."""
    packed = "\x00".join(f"{name}\x01{value}" for name, value in sorted(labels.items()))
    return hashlib.blake2b(packed.encode("utf-8", "replace"), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """What was last sent to a channel about a group: like an entry of Alertmanager's notification log (nflog)."""

    at: datetime
    firing: frozenset[int] = frozenset()
    resolved: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class GroupState:
    """The current state of a group: alert ids by state. `acknowledged` is a subset of `firing`.

    `changed` are those whose severity has changed since the last flush.
    """

    firing: frozenset[int]
    resolved: frozenset[int] = frozenset()
    acknowledged: frozenset[int] = frozenset()
    changed: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Decision:
    send: bool
    reason: Reason


def decide(
    entry: Entry | None,
    group: GroupState,
    *,
    send_resolved: bool,
    repeat_interval: timedelta,
    now: datetime,
) -> Decision:
    """Return whether one channel gets a message about a group now, and why."""
    if entry is None or not (entry.firing or entry.resolved):
        # Nothing was sent to the channel yet: a group with only resolved alerts is not worth a message.
        if group.firing:
            return Decision(True, Reason.FIRST)
        return Decision(False, Reason.NEVER_ANNOUNCED)
    if group.firing - entry.firing:
        # An alert joined the group that the channel does not know of.
        return Decision(True, Reason.NEW_FIRING)
    if group.firing & group.changed:
        # A warning that was ignored may be critical now.
        return Decision(True, Reason.SEVERITY)
    if group.resolved and not group.firing:
        if not group.resolved & entry.firing:
            # Never announced as firing, or already announced as resolved.
            return Decision(False, Reason.NEVER_ANNOUNCED)
        # Everything announced has ended; without a message people work on a problem that is gone.
        reason = Reason.ALL_RESOLVED if send_resolved else Reason.RESOLVED_OFF
        return Decision(send_resolved, reason)
    if send_resolved and (group.resolved & entry.firing) - entry.resolved:
        # Part of what was announced has ended.
        return Decision(True, Reason.SOME_RESOLVED)
    if not group.firing:
        # All that is left is suppressed, or already known to have ended.
        return Decision(False, Reason.NOTHING_NEW)
    if group.firing <= group.acknowledged:
        # Somebody works on each of them: a reminder would only disturb.
        return Decision(False, Reason.ACKNOWLEDGED)
    if now - entry.at >= repeat_interval:
        # Still unacknowledged, and the last message was long ago.
        return Decision(True, Reason.REPEAT)
    return Decision(False, Reason.NOT_YET)


def next_flush(
    entries: Sequence[Entry], group: GroupState, *, rule: RoutingRule, now: datetime
) -> datetime | None:
    """Return when a group must be flushed if no transition arrives before; None: never."""
    if not group.firing or group.firing <= group.acknowledged:
        return None
    sent_at = [entry.at for entry in entries if entry.firing]
    if not sent_at:
        return None
    return max(now + rule.group_interval, min(sent_at) + rule.repeat_interval)


def quiet_until(quiet: QuietHours | None, now: datetime) -> datetime | None:
    """Return when the current quiet hours end; None outside of quiet hours."""
    if quiet is None or quiet.since == quiet.until:
        return None
    zone = ZoneInfo(quiet.zone)
    local = now.astimezone(zone)
    spans_midnight = quiet.until < quiet.since
    # QuietHours hours that began yesterday may last into this morning.
    for day in (local.date() - timedelta(days=1), local.date()):
        begins = datetime.combine(day, quiet.since, zone)
        ends = datetime.combine(day + timedelta(days=spans_midnight), quiet.until, zone)
        if begins <= local < ends:
            return ends.astimezone(now.tzinfo)
    return None


def ignores_quiet_hours(quiet: QuietHours | None, labels: Mapping[str, str]) -> bool:
    """True when an alert is sent in quiet hours as well."""
    return bool(quiet and quiet.unless) and all(m.matches(labels) for m in quiet.unless)  # type: ignore[union-attr]


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `messages` within `window`; the rest waits for one digest."""

    messages: int
    window: timedelta


def room_at(budget: Budget, sent: Sequence[datetime], now: datetime) -> datetime | None:
    """Return None when a message may be sent now, else when the window has room for the next."""
    recent = sorted(at for at in sent if at > now - budget.window)
    if len(recent) < budget.messages:
        return None
    return recent[len(recent) - budget.messages] + budget.window
