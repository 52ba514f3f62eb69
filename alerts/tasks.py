"""Ticks of the alert desk."""

from celery import shared_task
from django.utils import timezone

from alerts import (
    clock_correction,
    delivery,
    dispatch,
    hooks,
    leases,
    raised,
    rerouting,
    retention,
    router,
    service_assignment,
)


@shared_task(expires=30)
def process_deliveries() -> None:
    """Work on waiting webhooks; started by each delivery."""
    hooks.process_waiting()


@shared_task(expires=5)
def process_waiting_deliveries() -> None:
    """The tick: picks up what a lost broker message left behind, and forgets what is old."""
    hooks.process_waiting(limit=200)
    hooks.forget_old(at=timezone.now())


@shared_task(expires=10)
def apply_own_silences() -> None:
    """The tick: silences on the portal's own alerts begin and end by the clock."""
    raised.apply_silences(at=timezone.now())


@shared_task(expires=10)
def tie_alerts() -> None:
    """The tick: assigns open alerts to services again after the catalogue has changed."""
    service_assignment.reassign_if_changed()


@shared_task(expires=10)
def dispatch_notifications() -> None:
    """The tick: route new transitions, flush due groups, and hand each due channel to a worker."""
    try:
        rerouting.reroute_if_changed()
        router.route_waiting()
        dispatch.flush_due()
    finally:  # pending messages are delivered even when routing fails
        for channel_id in leases.due_channels(at=timezone.now()):
            deliver_channel.delay(channel_id)


@shared_task(expires=30)
def deliver_channel(channel_id: int) -> None:
    """Deliver what waits for one channel."""
    delivery.deliver(channel_id)


@shared_task(expires=60)
def catch_up_with_the_clock() -> None:
    """The tick: makes due what a clock that has been set back since has dated in the future."""
    clock_correction.make_due(at=timezone.now())


@shared_task(expires=600)
def forget_old_notifications() -> None:
    """The tick: the delivery log is kept for half a year."""
    retention.forget_old(at=timezone.now())
