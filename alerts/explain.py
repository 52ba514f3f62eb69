"""Why somebody was told about an alert, or was not: routes, groups, deliveries, and what comes next."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from alerts import routing
from alerts.look import routing_labels
from alerts.models import Alert
from alerts.notification_models import Channel, GroupMember, Notification, Route, load_rules
from alerts.routing import Fit, Looked

DELIVERIES = 50


@dataclass(frozen=True, slots=True)
class RouteLine:
    """A route held against the alert's labels, in words."""

    route: str
    url: str
    fit: str
    sentence: str
    channels: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class GroupLine:
    """A group the alert is in: how many share its messages, what was said last, what is due when."""

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
    waiting: int  # transitions of the alert that were not routed yet


def explain(alert: Alert, *, at: datetime) -> Explanation:
    """Return everything that decides about the alert's notifications, with the routes as they are now."""
    labels = routing_labels(alert)
    rules = load_rules()
    wanted = {number for rule in rules for number in rule.channels}
    names = dict(Channel.objects.filter(pk__in=wanted).values_list("pk", "name"))
    members = GroupMember.objects.filter(alert=alert).select_related("group__route")
    deliveries = Notification.objects.about(alert.pk).select_related("channel", "route")
    return Explanation(
        labels=labels,
        routes=[_route(looked, names) for looked in routing.walk(rules, labels)],
        groups=[_group(member, at) for member in members.order_by("id")],
        deliveries=list(deliveries.order_by("-id")[:DELIVERIES]),
        waiting=alert.transitions.filter(routed_at__isnull=True).count(),
    )


def _route(looked: Looked, names: dict[int, str]) -> RouteLine:
    rule = looked.rule
    channels = [names[number] for number in rule.channels if number in names]
    told = ", ".join(channels) or "nobody: the route has no channel"
    sentences = {
        Fit.MATCHED: f"Matches; tells {told}." + (" The next routes are asked too." if rule.goes_on else ""),
        Fit.MISMATCH: f"Does not match: {looked.because} does not hold.",
        Fit.NOT_REACHED: "Not asked: a route before it has taken the alert.",
    }  # fmt: skip
    url = Route(pk=rule.id).get_absolute_url()
    return RouteLine(rule.name, url, looked.fit.value, sentences[looked.fit], channels)


def _group(member: GroupMember, at: datetime) -> GroupLine:
    group = member.group
    return GroupLine(
        route=group.route.name,
        labels=group.labels,
        members=group.members.count(),
        said_at=group.flushed_at,
        next_look_at=group.next_flush_at,
        sentence=_next(member, at),
    )


def _next(member: GroupMember, at: datetime) -> str:
    """Return what happens next to a group, as one sentence."""
    due = member.group.next_flush_at
    if due is None:
        return "Nothing is due: what is open is acknowledged or suppressed. A change is looked at."
    when = "now" if due <= at else f"at {due:%Y-%m-%d %H:%M:%S} UTC"
    if member.transitions or member.group.flushed_at is None:
        return f"The next message is due {when}."
    return f"Without a change, it is repeated {when}."


def as_json(found: Explanation) -> dict[str, Any]:
    """Return the explanation as plain values, deliveries aside."""
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
