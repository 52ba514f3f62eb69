"""Housekeeping of the audit trail."""

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from audit import exports, ingest, partitions, retention, services
from audit.services import Target


@shared_task(expires=3600)
def ensure_partitions() -> None:
    """Periodic: create the partitions of the coming months."""
    created = partitions.ensure(at=timezone.now())
    if created:
        services.record(
            "audit.partitions_created",
            target=Target("audit.partition"),
            data={"partitions": created},
        )


@shared_task(expires=3600)
def forget_ingested() -> None:
    """Periodic: delete the idempotency keys of ingested entries older than a week."""
    ingest.forget(at=timezone.now())


@shared_task(expires=60)
def end_lost_exports() -> None:
    """Periodic: mark exports whose process died as failed."""
    exports.end_lost()


@shared_task(expires=3600)
def prune_trail() -> None:
    """Periodic: drop the months of the audit trail past the retention period."""
    retention.prune(at=timezone.now(), months=settings.AUDIT_RETENTION_MONTHS)
