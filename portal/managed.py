"""Upstreams named in the environment become rows, marked as managed, when the portal starts."""

import logging
from typing import Any

from django.conf import settings
from django.db.models.signals import post_migrate

from portal.core.models import Upstream

log = logging.getLogger(__name__)


def wanted() -> dict[str, tuple[str, str]]:
    """Return name → (kind, url) as the environment says; members of one Alertmanager share a row."""
    found = {}
    for number, url in enumerate(settings.PROMETHEUS_URL):
        found["prometheus" if number == 0 else f"prometheus-{number + 1}"] = (
            Upstream.Kind.PROMETHEUS.value,
            url,
        )
    if settings.ALERTMANAGER_URL:
        found["alertmanager"] = (
            Upstream.Kind.ALERTMANAGER.value,
            ",".join(settings.ALERTMANAGER_URL),
        )
    return found


def synchronise() -> list[str]:
    """Create or correct the managed rows; return the names of those that changed.

    A row whose variable was removed is disabled, never deleted: it carries history.
    """
    changed = []
    names = wanted()
    for name, (kind, url) in names.items():
        row, created = Upstream.objects.get_or_create(
            name=name,
            defaults={
                "kind": kind,
                "url": url,
                "managed": True,
                "interval_seconds": settings.POLL_SECONDS,
            },
        )
        if not created and (row.kind, row.url, row.managed, row.enabled) != (kind, url, True, True):
            row.kind, row.url, row.managed, row.enabled = kind, url, True, True
            row.save(update_fields=["kind", "url", "managed", "enabled"])
            created = True
        if created:
            changed.append(name)
    for row in Upstream.objects.filter(managed=True, enabled=True).exclude(name__in=names):
        row.enabled = False
        row.save(update_fields=["enabled"])
        changed.append(row.name)
    return changed


def after_migrate(**_kwargs: Any) -> None:
    changed = synchronise()
    if changed:
        log.info("Upstreams set from the environment: %s.", ", ".join(changed))


def connect() -> None:
    post_migrate.connect(after_migrate, dispatch_uid="portal.managed")
