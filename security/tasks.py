"""Celery tasks of security: detection, blocks, CrowdSec, SIEM forwarding and expired sessions."""

from celery import shared_task
from django.utils import timezone

from security import (
    block_retention,
    blocks,
    crowdsec,
    detection,
    gate_store,
    sessions,
    trail_readers,
)
from security.siem import forwarding


@shared_task(expires=3600)
def clear_expired() -> None:
    """Periodic: delete expired sessions, including those of unfinished sign-ins."""
    sessions.clear_expired()


@shared_task(expires=30)
def detect_threats() -> None:
    """Periodic: run the detection rules on new audit entries. Safe with any number of workers."""
    detection.run()


@shared_task(expires=60)
def keep_blocks() -> None:
    """Periodic: record which blocks have ended, and repair the copy in Redis."""
    blocks.end_elapsed(at=timezone.now())
    gate_store.write()


@shared_task(expires=600)
def forget_ended_blocks() -> None:
    """Periodic: delete ended blocks past the retention period."""
    block_retention.forget_ended(at=timezone.now())


@shared_task(expires=60)
def sync_crowdsec() -> None:
    """Periodic: fetch CrowdSec's decisions and publish the portal's blocks, if due."""
    crowdsec.poll_due(at=timezone.now())


@shared_task(expires=30)
def forward_trail() -> None:
    """Periodic: start a task for each SIEM destination with entries to send."""
    for pk in forwarding.claim_due(at=timezone.now()):
        forward_to.delay(pk)


@shared_task(expires=60)
def forward_to(pk: int) -> None:
    forwarding.forward(pk)


@shared_task(expires=60)
def watch_trail_readers() -> None:
    """Periodic: raise and clear alerts for stalled readers of the audit trail."""
    trail_readers.watch(at=timezone.now())
