"""The ticks of security: detection, blocks that end, and rows of sessions that have ended."""

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
    """Delete the rows of sessions that have ended, half-finished sign-ins among them."""
    sessions.clear_expired()


@shared_task(expires=30)
def detect_threats() -> None:
    """The tick: the rules read what is new in the trail. Any number of workers is safe."""
    detection.run()


@shared_task(expires=60)
def keep_blocks() -> None:
    """The tick: writes down which blocks have ended, and mends the copy in Redis."""
    blocks.end_elapsed(at=timezone.now())
    gate_store.write()


@shared_task(expires=600)
def forget_ended_blocks() -> None:
    """The tick: deletes blocks that ended longer ago than the policy keeps them."""
    block_retention.forget_ended(at=timezone.now())


@shared_task(expires=60)
def sync_crowdsec() -> None:
    """The tick: reads CrowdSec's decisions and tells it ours, where that is due."""
    crowdsec.poll_due(at=timezone.now())


@shared_task(expires=30)
def forward_trail() -> None:
    """The tick: starts one task for each SIEM destination that has something to be sent."""
    for pk in forwarding.claim_due(at=timezone.now()):
        forward_to.delay(pk)


@shared_task(expires=60)
def forward_to(pk: int) -> None:
    forwarding.forward(pk)


@shared_task(expires=60)
def watch_trail_readers() -> None:
    """The tick: raises and clears the alerts of readers of the trail that stand still."""
    trail_readers.watch(at=timezone.now())
