"""Ticks of the roof."""

from celery import shared_task
from django.core.cache import cache
from django.utils import timezone

HEARTBEAT_KEY = "worker-heartbeat"


@shared_task(expires=10)
def worker_heartbeat() -> None:
    """Leave a sign of life that the readiness check looks for."""
    cache.set(HEARTBEAT_KEY, timezone.now().timestamp(), timeout=3600)
