"""Generates realistic data of any size inside PostgreSQL, for a first look, screenshots and benchmarks.

All of it belongs to upstreams named `demo-…`, which are disabled: they are not polled, and their data
does not mix with that of real upstreams.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from audit import partitions
from audit.codes import CODES
from portal import (
    demo_audit,
    demo_checks,
    demo_errors,
    demo_notifications,
    demo_rules,
    demo_sql,
    demo_threats,
)
from portal.core.models import Service, Upstream

DAYS = 30
ALERTMANAGER, PROMETHEUS = "demo-alertmanager", "demo-prometheus"
TEAMS = ("payments", "search", "platform", "identity", "logistics", "storefront")
WORDS = (
    "checkout",
    "catalogue",
    "basket",
    "login",
    "search",
    "mail",
    "invoices",
    "stock",
    "shipping",
    "images",
    "gateway",
    "sessions",
    "reviews",
    "prices",
    "orders",
    "reports",
    "webhooks",
    "scheduler",
    "ledger",
    "notify",
)


@dataclass(frozen=True, slots=True)
class Sizes:
    alerts: int = 400
    audit_entries: int = 2_000
    services: int = 24
    issues: int = 300


def seed(sizes: Sizes) -> dict[str, int]:
    """Replace earlier demonstration alerts and services, and add audit entries; return the numbers created."""
    now = timezone.now()
    partitions.ensure(at=now, months_back=2)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT setseed(0.42)")
        alertmanager, prometheus = _upstreams(now)
        _clear(alertmanager)
        _services(sizes.services)
        demo_checks.clear()
        demo_rules.clear()
        made = {"services": sizes.services, "targets": _statuses(prometheus, now)}
        made |= demo_checks.seed(now)
        made |= demo_rules.seed(prometheus)
        made["alerts"], made["transitions"] = _alerts(alertmanager, sizes.alerts, now)
        made["deliveries"] = demo_notifications.seed(alertmanager.pk, now)
        made["silences"] = _silences(alertmanager, now)
        made |= demo_errors.seed(sizes.issues, now=now)
        made["audit entries"] = _audit_entries(sizes.audit_entries, now)
        made |= demo_threats.seed(now=now)
        made |= demo_audit.seed(now=now)
    with connection.cursor() as cursor:
        cursor.execute(
            "ANALYZE alerts_alert, alerts_transition, alerts_notification, audit_entry, core_service,"
            " monitoring_target, monitoring_errorissue, monitoring_errortransition, monitoring_errortally"
        )
    return made


def _upstreams(now: datetime) -> tuple[Upstream, Upstream]:
    facts: dict[str, Any] = {
        "enabled": False, "attempted_at": now, "succeeded_at": now, "duration_seconds": 0.04, "error": "",
        "success_streak_since": now - timedelta(days=3), "interval_seconds": 86400,
    }  # fmt: skip
    made = []
    for name, kind, version in (
        (ALERTMANAGER, "alertmanager", "0.28.1"),
        (PROMETHEUS, "prometheus", "2.53.3"),
    ):
        values = {
            **facts,
            "kind": kind,
            "url": "http://demo.invalid",
            "observed": {"version": version},
        }
        made.append(Upstream.objects.update_or_create(name=name, defaults=values)[0])
    return made[0], made[1]


def _clear(alertmanager: Upstream) -> None:
    with connection.cursor() as cursor:
        cursor.execute(demo_sql.CLEAR_TRANSITIONS, [alertmanager.pk])
        cursor.execute("DELETE FROM alerts_alert WHERE upstream_id = %s", [alertmanager.pk])
        cursor.execute("DELETE FROM alerts_silence WHERE upstream_id = %s", [alertmanager.pk])


def _services(count: int) -> None:
    rows = []
    for number in range(count):
        word, turn = WORDS[number % len(WORDS)], number // len(WORDS)
        slug = f"{word}-{turn + 1}" if turn else word
        rows.append(
            Service(
                slug=slug, name=slug.replace("-", " ").capitalize(), team=TEAMS[number % len(TEAMS)],
                tier=number % 4 + 1, matchers=[f'service="{slug}"'], labels={"demo": "true"},
                runbook_url=f"https://runbooks.example/{slug}", repository_url=f"https://git.example/{slug}",
            )
        )  # fmt: skip
    Service.objects.bulk_create(rows, ignore_conflicts=True, batch_size=1000)


def _statuses(prometheus: Upstream, now: datetime) -> int:
    """Give each service three targets, a status and some status changes in its history."""
    with connection.cursor() as cursor:
        cursor.execute(demo_sql.TARGETS, {"upstream": prometheus.pk, "now": now})
        targets = int(cursor.rowcount)
        cursor.execute(demo_sql.STATUSES, {"upstream": prometheus.pk, "now": now})
        cursor.execute(demo_sql.FLIPS, {"now": now, "days": DAYS})
        cursor.execute(demo_sql.SINCE)
    return targets


def _alerts(alertmanager: Upstream, count: int, now: datetime) -> tuple[int, int]:
    """Create a month of alerts with their transitions; at most 60 are open, however long the history."""
    facts: dict[str, Any] = {"upstream": alertmanager.pk, "count": count, "now": now, "days": DAYS}
    with connection.cursor() as cursor:
        cursor.execute(demo_sql.EPISODES, facts)
        alerts = int(cursor.rowcount)
        cursor.execute(demo_sql.TRANSITIONS, facts)
        return alerts, int(cursor.rowcount)


def _silences(alertmanager: Upstream, now: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            demo_sql.SILENCES,
            {"upstream": alertmanager.pk, "now": now},
        )
        return int(cursor.rowcount)


def _audit_entries(count: int, now: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            demo_sql.ENTRIES, {"count": count, "now": now, "days": DAYS, "codes": json.dumps(CODES)}
        )
        return int(cursor.rowcount)
