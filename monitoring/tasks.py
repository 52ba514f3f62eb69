"""Celery tasks of monitoring."""

from celery import shared_task
from django.utils import timezone

from monitoring import polling
from monitoring.checks import runner, services
from portal.core.polling import claim_due


@shared_task(expires=2)
def poll_due_upstreams() -> None:
    """Periodic: start a poll of each due upstream."""
    for upstream_id in claim_due(at=timezone.now(), kinds=[*polling.POLLERS]):
        poll_upstream.delay(upstream_id)


@shared_task(expires=60)
def poll_upstream(upstream_id: int) -> None:
    """Poll one upstream."""
    polling.poll(upstream_id)


@shared_task(expires=2)
def run_checks() -> None:
    """Periodic: run due checks for a few seconds, unless another worker is running them."""
    runner.run_round()


@shared_task(expires=600)
def forget_old_hours() -> None:
    """Periodic: delete hourly check results older than 400 days."""
    services.forget_old_hours(at=timezone.now())
