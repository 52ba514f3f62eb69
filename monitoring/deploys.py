"""Records deploys reported by pipelines, and finds those in a chart's range."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.urls import NoReverseMatch, reverse

from audit import services as audit
from monitoring.models import Deploy
from portal.core.models import Service

MAX_MARKS = 100


def register(
    service: Service, *, actor: Any, uid: uuid.UUID | None = None, **facts: Any
) -> tuple[Deploy, bool]:
    """Store a deploy and return it with True, or return the one already stored for `uid` with False."""
    name = audit.actor_of(actor).name
    with transaction.atomic():
        deploy, created = Deploy.objects.get_or_create(
            uid=uid or uuid.uuid4(), defaults={**facts, "service": service, "actor": name}
        )
        if created:
            data = {"version": deploy.version, "environment": deploy.environment}
            audit.record("deploy.recorded", actor=actor, target=deploy, data=data)
    return deploy, created


@dataclass(frozen=True, slots=True)
class Mark:
    """A deploy on a chart; `at` is in Unix time."""

    id: int
    service: str
    version: str
    environment: str
    at: float
    url: str


def marks(*, start: float, end: float) -> tuple[Mark, ...]:
    """Return the newest deploys between two Unix times, oldest first."""
    between = Deploy.objects.between(
        datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
    )
    rows = between.select_related("service").order_by("-at", "-id")[:MAX_MARKS]
    found = [
        Mark(row.pk, row.service.slug, row.version, row.environment, row.at.timestamp(), _url(row))
        for row in rows
    ]
    return tuple(reversed(found))


def _url(deploy: Deploy) -> str:
    try:
        return reverse("admin:monitoring_deploy_change", args=[deploy.pk])
    except NoReverseMatch:
        return ""
