"""Housekeeping of the audit trail."""

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from audit import exports, ingest, partitions, retention, services
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


@shared_task(expires=3600)
def forget_ingested() -> None:
    """Forget which entries of other applications were written more than a week ago."""
    ingest.forget(at=timezone.now())


@shared_task(expires=60)
def end_lost_exports() -> None:
    """Close the rows of exports whose process died."""
    exports.end_lost()


@shared_task(expires=3600)
def prune_trail() -> None:
    """Drop the months that are past the policy."""
    retention.prune(at=timezone.now(), months=settings.AUDIT_RETENTION_MONTHS)
