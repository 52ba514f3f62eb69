"""Reads the gauges of notifications with two SQL statements: queue lengths, and which channels fail."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, Q
from prometheus_client.core import GaugeMetricFamily, Metric

from alerts.models import Transition
from alerts.notification_models import Channel


@dataclass(frozen=True, slots=True)
class Rows:
    unrouted: int
    oldest_unrouted: datetime | None
    channels: list[tuple[str, int, datetime | None, int]]


def read() -> Rows:
    queue = Transition.objects.filter(routed_at__isnull=True).aggregate(
        count=Count("id"), oldest=Min("recorded_at")
    )
    waiting = Count("notifications", filter=Q(notifications__outcome="pending"))
    found = Channel.objects.filter(enabled=True).annotate(waiting=waiting).order_by("name")
    facts = found.values_list("name", "failures", "failing_since", "waiting")
    return Rows(queue["count"], queue["oldest"], list(facts))


def families(rows: Rows, *, at: datetime) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "portal_notification_transitions_waiting", "Transitions of alerts not yet routed."
    )
    waiting.add_metric([], rows.unrouted)
    age = GaugeMetricFamily(
        "portal_notification_oldest_transition_age_seconds",
        "Age of the oldest transition not yet routed; 0 when none is waiting.",
    )
    since = rows.oldest_unrouted or at
    age.add_metric([], max(0.0, (at - since).total_seconds()))
    messages = GaugeMetricFamily(
        "portal_notification_messages_waiting", "Messages not yet delivered.", labels=["channel"]
    )
    failures = GaugeMetricFamily(
        "portal_notification_channel_failures", "Failed attempts since the last success.", labels=["channel"]
    )  # fmt: skip
    failing = GaugeMetricFamily(
        "portal_notification_channel_failing_seconds",
        "How long the channel has been failing; 0 while it delivers.",
        labels=["channel"],
    )
    for name, failed, failing_since, queued in rows.channels:
        messages.add_metric([name], queued)
        failures.add_metric([name], failed)
        failing.add_metric([name], max(0.0, (at - (failing_since or at)).total_seconds()))
    yield from (waiting, age, messages, failures, failing)
