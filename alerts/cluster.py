"""Merges the alerts of the members of one Alertmanager cluster, by fingerprint (pure).

Alertmanager gossips silences and notifications, not alerts: a member may miss some.
"""

from collections.abc import Iterable

from alerts.payloads import AlertStatus, ListedAlert, moment_of


def union(lists: Iterable[Iterable[ListedAlert]]) -> dict[str, ListedAlert]:
    """Merge the lists of a cluster's members, and duplicates within one.

    An alert is active if any member says so, and its start is the earliest one.
    """
    merged: dict[str, ListedAlert] = {}
    for alerts in lists:
        for alert in alerts:
            other = merged.setdefault(alert.fingerprint, alert)
            if other is not alert:
                merged[alert.fingerprint] = _merge(other, alert)
    return merged


def _merge(first: ListedAlert, second: ListedAlert) -> ListedAlert:
    """Keep the body that was updated last, so that the order of the answers does not matter."""
    newest, other = (first, second) if _freshness(first) >= _freshness(second) else (second, first)
    active = [alert.status for alert in (newest, other) if alert.status.state != "suppressed"]
    status = active[0] if active else AlertStatus(
        "suppressed",
        tuple(sorted({*newest.status.silencedBy, *other.status.silencedBy})),
        tuple(sorted({*newest.status.inhibitedBy, *other.status.inhibitedBy})),
    )  # fmt: skip
    starts = min(
        (newest.startsAt, other.startsAt), key=lambda written: moment_of(written).timestamp()
    )
    return ListedAlert(
        fingerprint=newest.fingerprint,
        labels=newest.labels,
        startsAt=starts,
        endsAt=max((newest.endsAt, other.endsAt)),
        updatedAt=newest.updatedAt,
        annotations=newest.annotations,
        status=status,
        receivers=tuple(
            sorted({*newest.receivers, *other.receivers}, key=lambda receiver: receiver.name)
        ),
        generatorURL=min(newest.generatorURL, other.generatorURL),
    )


def _freshness(alert: ListedAlert) -> tuple[str, str, str]:
    return (alert.updatedAt, alert.endsAt, alert.startsAt)
