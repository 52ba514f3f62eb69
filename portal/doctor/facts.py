"""Reads the facts to examine from PostgreSQL, Redis, the settings and the disks."""

import json
import os
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.core import checks
from django.db import connection
from django.db.models import Count, Min
from django.utils import timezone
from redis.backoff import NoBackoff
from redis.retry import Retry

from alerts.models import HookDelivery, Transition
from alerts.notification_models import Channel
from audit import retention
from monitoring.models import Check
from portal import beat
from portal.core import geoip
from portal.core.embedded.places import var_dir
from portal.doctor import servers, work
from portal.doctor.findings import Finding, fail, ok, warn
from portal.health import heartbeat_age_seconds, pending_migrations
from security import detection
from security.models import SiemDestination

REDIS_SECONDS = 5


def configuration() -> list[Finding]:
    """Return the findings of Django's system checks, whose hints are the cures."""
    found = [m for m in checks.run_checks() if not m.is_silenced()]
    if not found:
        return [ok("configuration", "No problems found in the configuration.")]
    return [
        (fail if m.level >= checks.ERROR else warn)(
            f"configuration {m.id or ''}".strip(), str(m.msg), str(m.hint or "")
        )
        for m in found
    ]


def database() -> list[Finding]:
    with connection.cursor() as cursor:
        before = time.time()
        cursor.execute(
            "SELECT current_setting('server_version_num')::int, current_setting('max_connections')::int,"
            " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),"
            " extract(epoch FROM clock_timestamp())"
        )
        version, most, used, clock = cursor.fetchone()
        middle = (before + time.time()) / 2
    pending = pending_migrations()
    rows: int | None = None
    if not pending:  # otherwise the table may not exist yet
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM (SELECT 1 FROM audit_entry_default LIMIT 1) rows")
            rows = cursor.fetchone()[0]
    return servers.database(
        servers.DatabaseFacts(version, used, most, rows, pending, float(clock) - middle)
    )


def redis_client() -> redis.Redis:
    once = Retry(NoBackoff(), 0)
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS, retry=once
    )  # fmt: skip


def redis_server() -> list[Finding]:
    with redis_client() as client:
        info: Any = client.info()
    facts = servers.RedisFacts(
        version=str(info.get("valkey_version") or info.get("redis_version", "")),
        eviction=str(info.get("maxmemory_policy", "noeviction")),
        used_bytes=int(info.get("used_memory", 0)),
        max_bytes=int(info.get("maxmemory", 0)),
        append_only=bool(info.get("aof_enabled")),
        saves=int(info.get("rdb_last_save_time", 0)) > 0 and bool(info.get("rdb_saves", 0)),
        last_save_ok=info.get("aof_last_write_status", "ok") == "ok"
        and info.get("rdb_last_bgsave_status", "ok") == "ok",
    )
    return servers.redis(facts)


def processes() -> list[Finding]:
    return [work.worker(heartbeat_age_seconds()), work.beat(beat.live_beats())]


def queue() -> list[Finding]:
    """Examine Celery's list in Redis; its oldest task is at the right end."""
    prefix = settings.CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"]
    key = f"{prefix}{settings.CELERY_TASK_DEFAULT_QUEUE}"
    with redis_client() as client:
        length: Any = client.llen(key)
        oldest: Any = client.lindex(key, -1)
    return [work.queue(work.QueueFacts(int(length), expired_seconds(oldest, now=time.time())))]


def expired_seconds(message: bytes | None, *, now: float) -> float:
    """Return how many seconds ago a queued task expired; 0 when it may still run."""
    try:
        expires = json.loads(message or b"{}")["headers"]["expires"]
        moment = datetime.fromisoformat(str(expires))
    except (ValueError, KeyError, TypeError):
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, now - moment.timestamp())


def backlogs() -> list[Finding]:
    now = timezone.now()

    def waiting(rows: Any, column: str) -> tuple[int, float]:
        found = rows.aggregate(count=Count("id"), oldest=Min(column))
        return found["count"], (now - found["oldest"]).total_seconds() if found["oldest"] else 0.0

    log = "Check the worker's log for the task"
    transitions = waiting(Transition.objects.filter(routed_at__isnull=True), "recorded_at")
    hooks = waiting(HookDelivery.objects.filter(processed_at__isnull=True), "received_at")
    return [
        work.backlog("routing", *transitions, what="changes of alerts waiting to be routed",
                     cure=f"{log} dispatch_notifications."),
        work.backlog("webhooks", *hooks, what="webhooks waiting to be processed",
                     cure=f"{log} process_waiting_deliveries."),
        work.detector(detection.lag_seconds()),
        work.checks(Check.objects.overdue(at=now).count()),
    ]  # fmt: skip


def trail() -> list[Finding]:
    """Examine the readers of the audit trail, and the months kept because one of them has not read them."""
    holding = retention.holding(at=timezone.now(), months=settings.AUDIT_RETENTION_MONTHS)
    rows = SiemDestination.objects.filter(enabled=True).values_list("name", "error", "failures")
    failing = [(name, error) for name, error, failures in rows if failures]
    return [*work.siem(failing, enabled=len(rows)), *work.retention(holding)]


def channels() -> list[Finding]:
    rows = Channel.objects.filter(enabled=True).values_list("name", "failures", "error")
    failing = [work.ChannelFacts(*row) for row in rows if row[1]]
    return work.channels(failing, enabled=len(rows))


def places() -> list[Finding]:
    """Examine the folders that the portal writes to, and their free space."""
    found = [
        servers.folder("audit file", settings.AUDIT_LOG_DIR, problem=_problem(settings.AUDIT_LOG_DIR),
                       used_for="audit entries are stored in the database only")
    ]  # fmt: skip
    if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        lost = "web and worker cannot share their metrics"
        found.append(
            servers.folder("metrics folder", folder, problem=_problem(folder), used_for=lost)
        )
    found += [
        servers.geoip(
            file.path,
            problem=file.problem,
            kind=file.kind,
            built_at=file.built_at,
            now=timezone.now(),
        )
        for file in geoip.file_facts()
    ]
    for name, path in (("the audit file", Path(settings.AUDIT_LOG_DIR)), ("var", var_dir())):
        there = next((p for p in (path, *path.parents) if p.exists()), Path("/"))
        found.append(servers.disk(name, free_bytes=shutil.disk_usage(there).free))
    return found


def _problem(folder: str) -> str:
    """Try to write to `folder`; return the operating system's message if that fails."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True, mode=0o750)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-"):
            return ""
    except OSError as error:
        return error.strerror or type(error).__name__
