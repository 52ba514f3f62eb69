"""Explains why an alert was or was not notified: routes, groups, deliveries, and the next step."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from alerts import routing
from alerts.group_flush import routing_labels
from alerts.models import Alert
from alerts.notification_models import Channel, GroupMember, Notification, Route, load_rules
from alerts.routing import Fit, RouteMatch

DELIVERIES = 50


@dataclass(frozen=True, slots=True)
class RouteLine:
    """How a route compares with the labels of the alert, as text."""

    route: str
    url: str
    fit: str
    sentence: str
    channels: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class GroupLine:
    """A group the alert is in: its number of members, its last message, and when it is flushed next."""

    route: str
    labels: dict[str, str]
    members: int
    said_at: datetime | None
    next_look_at: datetime | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Explanation:
    labels: dict[str, str]
    routes: list[RouteLine]
    groups: list[GroupLine]
    deliveries: list[Notification]
    waiting: int  # number of transitions that are not routed yet


def explain(alert: Alert, *, at: datetime) -> Explanation:
    """Return everything that determines the notifications of the alert, according to the current routes."""
    labels = routing_labels(alert)
    rules = load_rules()
    wanted = {number for rule in rules for number in rule.channels}
    names = dict(Channel.objects.filter(pk__in=wanted).values_list("pk", "name"))
    members = GroupMember.objects.filter(alert=alert).select_related("group__route")
    deliveries = Notification.objects.about(alert.pk).select_related("channel", "route")
    return Explanation(
        labels=labels,
        routes=[_route(match, names) for match in routing.walk(rules, labels)],
        groups=[_group(member, at) for member in members.order_by("id")],
        deliveries=list(deliveries.order_by("-id")[:DELIVERIES]),
        waiting=alert.transitions.filter(routed_at__isnull=True).count(),
    )


def _route(match: RouteMatch, names: dict[int, str]) -> RouteLine:
    rule = match.rule
    channels = [names[number] for number in rule.channels if number in names]
    recipients = ", ".join(channels) or "nobody, because the route has no channel"
    sentences = {
        Fit.MATCHED: f"Matches; notifies {recipients}."
        + (" The next routes are evaluated too." if rule.goes_on else ""),
        Fit.MISMATCH: f"Does not match: {match.failed} is not satisfied.",
        Fit.NOT_REACHED: "Not evaluated: an earlier route has taken the alert.",
    }  # fmt: skip
    url = Route(pk=rule.id).get_absolute_url()
    return RouteLine(rule.name, url, match.fit.value, sentences[match.fit], channels)


def _group(member: GroupMember, at: datetime) -> GroupLine:
    group = member.group
    return GroupLine(
        route=group.route.name,
        labels=group.labels,
        members=group.members.count(),
        said_at=group.flushed_at,
        next_look_at=group.next_flush_at,
        sentence=_next_step(member, at),
    )


def _next_step(member: GroupMember, at: datetime) -> str:
    """Return in one sentence what happens next to the group."""
    due = member.group.next_flush_at
    if due is None:
        return "No message is due: all open alerts are acknowledged or suppressed. Any change is evaluated."
    when = "now" if due <= at else f"at {due:%Y-%m-%d %H:%M:%S} UTC"
    if member.transitions or member.group.flushed_at is None:
        return f"The next message is due {when}."
    return f"Without a change, it is repeated {when}."


def as_json(found: Explanation) -> dict[str, Any]:
    """Return the explanation as JSON values, without the deliveries."""
    return {
        "labels": found.labels,
        "routes": [
            {"route": line.route, "fit": line.fit, "sentence": line.sentence, "channels": line.channels}
            for line in found.routes
        ],
        "groups": [
            {"route": line.route, "labels": line.labels, "members": line.members, "said_at": line.said_at,
             "next_look_at": line.next_look_at, "sentence": line.sentence}
            for line in found.groups
        ],
        "waiting_transitions": found.waiting,
    }  # fmt: skip
