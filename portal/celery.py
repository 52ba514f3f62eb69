"""Defines the Celery application and the only table of ticks.

Beat only ticks. What is due, and how often, is stored in rows that the ticks claim (`next_run_at`),
so that any number of workers is safe and staff can edit the intervals.
"""

import logging
import os
from pathlib import Path
from typing import Any

from billiard.util import get_logger  # type: ignore[import-untyped]
from celery import Celery
from celery.signals import (
    beat_init,
    celeryd_init,
    setup_logging,
    task_prerun,
    worker_process_shutdown,
    worker_ready,
)
from django.conf import settings
from django.db import close_old_connections

from portal import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

broker.install()
app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# name: (task, seconds between ticks). A tick that waits longer than its interval is dropped.
TICKS: dict[str, tuple[str, float]] = {
    "poll-due-upstreams": ("monitoring.tasks.poll_due_upstreams", 1),
    "run-checks": ("monitoring.tasks.run_checks", 1),
    "process-hook-deliveries": ("alerts.tasks.process_waiting_deliveries", 5),
    "apply-own-silences": ("alerts.tasks.apply_own_silences", 10),
    "tie-alerts-to-services": ("alerts.tasks.tie_alerts", 5),
    "dispatch-notifications": ("alerts.tasks.dispatch_notifications", 2),
    "catch-up-with-the-clock": ("alerts.tasks.catch_up_with_the_clock", 60),
    "forget-old-notifications": ("alerts.tasks.forget_old_notifications", 3600),
    "worker-heartbeat": ("portal.tasks.worker_heartbeat", 10),
    "forget-old-check-hours": ("monitoring.tasks.forget_old_hours", 3600),
    "ensure-audit-partitions": ("audit.tasks.ensure_partitions", 3600),
    "prune-audit-trail": ("audit.tasks.prune_trail", 3600),
    "end-lost-exports": ("audit.tasks.end_lost_exports", 60),
    "forget-ingested-uids": ("audit.tasks.forget_ingested", 3600),
    "detect-threats": ("security.tasks.detect_threats", 5),
    "forward-trail": ("security.tasks.forward_trail", 2),
    "watch-trail-readers": ("security.tasks.watch_trail_readers", 60),
    "keep-blocks": ("security.tasks.keep_blocks", 30),
    "forget-ended-blocks": ("security.tasks.forget_ended_blocks", 600),
    "sync-crowdsec": ("security.tasks.sync_crowdsec", 5),
    "clear-expired-sessions": ("security.tasks.clear_expired", 3600),
}
app.conf.beat_schedule = {
    name: {"task": task, "schedule": seconds, "options": {"expires": max(seconds, 2)}}
    for name, (task, seconds) in TICKS.items()
}


@setup_logging.connect
def keep_django_logging(**_kwargs: Any) -> None:
    """Stop Celery from replacing the logging configuration, and its process pool from bypassing it."""
    pool = get_logger()
    pool.propagate = True
    pool.setLevel(logging.WARNING)


@celeryd_init.connect
def leave_out_the_banner(instance: Any, **_kwargs: Any) -> None:
    """Suppress the worker's banner, so that it prints only log lines; the option --quiet does not take effect."""
    instance.quiet = True


@task_prerun.connect
def drop_dead_connections(**_kwargs: Any) -> None:
    """Discard database connections that a restart of PostgreSQL has closed."""
    if not settings.CELERY_TASK_ALWAYS_EAGER:
        close_old_connections()


@worker_process_shutdown.connect
def send_last_lines(**_kwargs: Any) -> None:
    """Send the queued log lines: Celery ends its processes without running Python's exit handlers."""
    for handler in logging.getLogger().handlers:
        handler.flush()


@worker_ready.connect
@beat_init.connect
def tell_supervisor(**_kwargs: Any) -> None:
    """Touch the file that tells `manage.py up` that this process has started to work."""
    if path := os.environ.get("PORTAL_READY_FILE"):
        Path(path).touch()
