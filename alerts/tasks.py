"""Ticks of the alert desk."""

from celery import shared_task
from django.utils import timezone

from alerts import (
    delivery,
    dispatch,
    hooks,
    leases,
    raised,
    rerouting,
    retention,
    router,
    set_back,
    ties,
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
    """The tick: what fires belongs to the service that the catalogue says now."""
    ties.tie()


@shared_task(expires=10)
def dispatch_notifications() -> None:
    """The tick: route new transitions, look at due groups, and hand each due channel to a worker."""
    try:
        rerouting.route_anew_if_changed()
        router.route_waiting()
        dispatch.look_at_due()
    finally:  # what was decided before goes out, whatever is wrong with what is new
        for channel_id in leases.due_channels(at=timezone.now()):
            deliver_channel.delay(channel_id)


@shared_task(expires=30)
def deliver_channel(channel_id: int) -> None:
    """Deliver what waits for one channel."""
    delivery.deliver(channel_id)


@shared_task(expires=60)
def catch_up_with_the_clock() -> None:
    """The tick: what a clock that has been set back since has dated waits no longer."""
    set_back.catch_up(at=timezone.now())


@shared_task(expires=600)
def forget_old_notifications() -> None:
    """The tick: the delivery log is kept for half a year."""
    retention.forget_old(at=timezone.now())
