"""Celery tasks of the portal itself."""

from celery import shared_task
from django.core.cache import cache
from django.utils import timezone

HEARTBEAT_KEY = "worker-heartbeat"


@shared_task(expires=10)
def worker_heartbeat() -> None:
    """Record the worker's heartbeat, which the readiness check reads."""
    cache.set(HEARTBEAT_KEY, timezone.now().timestamp(), timeout=3600)
