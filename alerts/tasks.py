"""Celery tasks of alerts and notifications."""

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
    """Process waiting webhooks; started by each delivery."""
    hooks.process_waiting()


@shared_task(expires=5)
def process_waiting_deliveries() -> None:
    """Periodic: process webhooks whose broker message was lost, and delete old ones."""
    hooks.process_waiting(limit=200)
    hooks.forget_old(at=timezone.now())


@shared_task(expires=10)
def apply_own_silences() -> None:
    """Periodic: start and expire the silences of the portal's own alerts."""
    raised.apply_silences(at=timezone.now())


@shared_task(expires=10)
def tie_alerts() -> None:
    """Periodic: assign open alerts to services again after the catalogue has changed."""
    service_assignment.reassign_if_changed()


@shared_task(expires=10)
def dispatch_notifications() -> None:
    """Periodic: route new transitions, flush due groups, and start a delivery for each due channel."""
    try:
        rerouting.reroute_if_changed()
        router.route_waiting()
        dispatch.flush_due()
    finally:  # pending messages are delivered even when routing fails
        for channel_id in leases.due_channels(at=timezone.now()):
            deliver_channel.delay(channel_id)


@shared_task(expires=30)
def deliver_channel(channel_id: int) -> None:
    """Deliver the pending messages of one channel."""
    delivery.deliver(channel_id)


@shared_task(expires=60)
def catch_up_with_the_clock() -> None:
    """Periodic: correct due times that lie in the future because the clock was set back."""
    clock_correction.make_due(at=timezone.now())


@shared_task(expires=600)
def forget_old_notifications() -> None:
    """Periodic: delete entries of the delivery log older than half a year."""
    retention.forget_old(at=timezone.now())
