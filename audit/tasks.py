"""Housekeeping of the audit trail."""

from celery import shared_task
from django.utils import timezone

from audit import partitions, services
from audit.services import Target


@shared_task(expires=3600)
def ensure_partitions() -> None:
    """Create the partitions of the coming months."""
    created = partitions.ensure(at=timezone.now())
    if created:
        services.record(
            "audit.partitions_created",
            target=Target("audit.partition"),
            data={"partitions": created},
        )
