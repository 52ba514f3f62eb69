"""Converts alerts sent by an Alertmanager to rows of the episode table."""

from collections.abc import Mapping
from datetime import datetime

from alerts import payloads
from alerts.incoming import Row
from alerts.models import State
from alerts.payloads import HookAlert, ListedAlert
from alerts.reconcile import state_of
from portal.core import sanitize
from portal.core.catalogue import Catalogue


def _identity(labels: Mapping[str, str]) -> tuple[str, str]:
    """Return name and severity; Alertmanager requires neither."""
    name = sanitize.line(labels.get("alertname") or "unnamed alert", 300)
    return name, sanitize.line(labels.get("severity", ""), 50).lower()


def of_listed(alert: ListedAlert, catalogue: Catalogue, *, episode_id: int | None = None) -> Row:
    name, severity = _identity(alert.labels)
    return Row(
        id=episode_id,
        fingerprint=alert.fingerprint,
        alertname=name,
        severity=severity,
        service_id=catalogue.service_id(alert.labels),
        state=state_of(alert),
        labels=payloads.labels_of(alert.labels),
        annotations=payloads.annotations_of(alert.annotations),
        receivers=[sanitize.line(receiver.name, 200) for receiver in alert.receivers[:20]],
        generator_url=sanitize.line(alert.generatorURL, 4000),
        content_hash=payloads.content_hash(alert),
        starts_at=payloads.moment_of(alert.startsAt),
        silenced_by=[sanitize.line(name, 64) for name in alert.status.silencedBy[:50]],
        inhibited_by=[sanitize.line(name, 64) for name in alert.status.inhibitedBy[:50]],
        refreshed_at=payloads.instant(alert.updatedAt),
        expires_at=payloads.instant(alert.endsAt),
    )


def of_hook(
    alert: HookAlert, catalogue: Catalogue, *, receiver: str, ends_at: datetime | None
) -> Row:
    """Return a new episode from a webhook; its empty hash makes the next poll fill in the rest."""
    name, severity = _identity(alert.labels)
    return Row(
        id=None,
        fingerprint=alert.fingerprint,
        alertname=name,
        severity=severity,
        service_id=catalogue.service_id(alert.labels),
        state=State.RESOLVED if ends_at else State.FIRING,
        labels=payloads.labels_of(alert.labels),
        annotations=payloads.annotations_of(alert.annotations),
        receivers=[sanitize.line(receiver, 200)] if receiver else [],
        generator_url=sanitize.line(alert.generatorURL, 4000),
        content_hash=b"",
        starts_at=payloads.moment_of(alert.startsAt),
        ends_at=ends_at,
    )
