"""Updates the status of services from their parts (targets and checks), and records each flip."""

from collections.abc import Collection, Mapping
from datetime import datetime

from django.db import connection
from django.utils import timezone

from monitoring.models import Check, ServiceStatus, StatusChange
from monitoring.status_parts import Part, combine
from portal.core import sanitize

REASON_LIMIT = 1000
MAX_REASONS = 5


def update(
    service_ids: Collection[int],
    *,
    at: datetime,
    blind_since: Mapping[int, datetime] | None = None,
) -> int:
    """Recompute the checks' part and the overall status of services; return how many flipped.

    `blind_since` maps the id of a service to the time since which one part could not be observed. Unless
    the other part was observed, the history shows that time as unknown. Call it in a transaction.
    """
    if not service_ids:
        return 0
    parts = _check_parts(service_ids)
    rows = ServiceStatus.objects.select_for_update(of=("self",)).filter(pk__in=service_ids)
    found = {row.pk: row for row in rows.order_by("pk")}
    writes, flips = [], []
    for service_id in sorted(service_ids):
        row = found.get(service_id) or ServiceStatus(service_id=service_id, since=at, status="")
        part, row.checks_fresh_until = parts.get(service_id, (Part(""), None))
        row.checks_status, row.checks_reason = part.status, part.reason
        flips += _flip(row, at=at, blind_since=(blind_since or {}).get(service_id))
        writes.append(row)
    _write(writes, flips)
    return len({flip.service_id for flip in flips})


def _flip(row: ServiceStatus, *, at: datetime, blind_since: datetime | None) -> list[StatusChange]:
    """Set the overall status of `row` from its parts; return the rows to add to the history."""
    new, reason = combine(row.stored)
    old, flips = row.status, []
    unseen = blind_since if old not in ("", "unknown") and not _has_both(row) else None
    if unseen and row.since < unseen < at:
        flips.append(_change(row, old, "unknown", "Nothing could be observed.", unseen))
        old = "unknown"
    if old != new:
        flips.append(_change(row, old, new, reason, at))
        row.since = at
    row.status, row.reason = new, sanitize.text(reason, REASON_LIMIT)
    return flips


def _has_both(row: ServiceStatus) -> bool:
    """True when the service has targets and checks: while one was blind, the other was observed."""
    return bool(row.targets_status and row.checks_status)


def _change(row: ServiceStatus, old: str, new: str, reason: str, at: datetime) -> StatusChange:
    said = sanitize.text(reason, REASON_LIMIT)
    return StatusChange(
        service_id=row.service_id, old_status=old, new_status=new, reason=said, at=at
    )


def _write(rows: list[ServiceStatus], flips: list[StatusChange]) -> None:
    fields = [
        "upstream", "status", "reason", "since", "targets_status", "targets_reason", "targets_up",
        "targets_down", "checks_status", "checks_reason", "checks_fresh_until",
    ]  # fmt: skip
    ServiceStatus.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["service"], update_fields=fields
    )
    StatusChange.objects.bulk_create(flips)


def _check_parts(service_ids: Collection[int]) -> dict[int, tuple[Part, datetime]]:
    """Return the combined part of each service's enabled checks, and until when it is valid."""
    by_service: dict[int, list[Check]] = {}
    for check in Check.objects.enabled().filter(service_id__in=service_ids).order_by("name"):
        by_service.setdefault(check.service_id, []).append(check)
    return {pk: _combined_checks(checks) for pk, checks in by_service.items()}


def _combined_checks(checks: list[Check]) -> tuple[Part, datetime]:
    status, _ = combine(Part(check.status) for check in checks)
    wrong = [c for c in checks if c.status == status and status != "up"]
    said = [f"{check.name}: {check.sentence or 'it has not run yet.'}" for check in wrong]
    more = [f"So are {len(said) - MAX_REASONS} more."] if len(said) > MAX_REASONS else []
    fresh = min(check.fresh_until for check in checks)
    return Part(status, " ".join(said[:MAX_REASONS] + more)), fresh


def keep_fresh(service_ids: Collection[int], *, at: datetime) -> None:
    """Extend how long the checks' part of these services is valid; written at most every 30 seconds."""
    if not service_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH v AS (
                SELECT service_id, min(coalesce(last_run_at, created_at)
                    + (interval_seconds * 3 + 60) * interval '1 second') AS fresh
                FROM monitoring_check WHERE enabled AND service_id = ANY(%s) GROUP BY service_id
            ), stale AS (
                -- Locked in the same order as in update(), which rules out a deadlock.
                SELECT s.service_id, v.fresh FROM monitoring_servicestatus s JOIN v USING (service_id)
                WHERE s.checks_fresh_until IS NULL OR s.checks_fresh_until < v.fresh - interval '30 seconds'
                ORDER BY s.service_id FOR UPDATE OF s
            )
            UPDATE monitoring_servicestatus s SET checks_fresh_until = stale.fresh FROM stale
            WHERE s.service_id = stale.service_id
            """,
            [list(service_ids)],
        )


def update_now(service_id: int) -> int:
    """Update one service after its checks were changed by hand."""
    return update({service_id}, at=timezone.now())
