"""Alertmanager's webhook: kept as received, answered at once, worked on by a task.

A stored delivery is the queue. The same body twice is one delivery, and processing is idempotent,
so retries and replays change nothing.
"""

import hashlib
import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import InterfaceError, connection, transaction
from django.db import OperationalError as DatabaseAway
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from alerts import ends, episodes, payloads, rows, watchdogs
from alerts.memory import Memory
from alerts.models import HookDelivery, Source
from alerts.payloads import HookAlert, PayloadError
from alerts.plans import Resolution
from portal.core import sanitize
from portal.core.catalogue import Catalogue
from portal.core.models import Upstream

log = logging.getLogger(__name__)
FAILED = "The portal failed to process it ({}). See its log for details; the next poll updates the alerts."
KEEP = timedelta(hours=6)
BATCH = 20


class Newest(NamedTuple):
    """The newest episode of a fingerprint; `promised_end` is set once it is no longer listed."""

    id: int
    is_open: bool
    starts_at: datetime
    ends_at: datetime | None
    closed_by: str
    promised_end: datetime | None


Latest = dict[str, Newest]


def receive(upstream: Upstream, body: bytes) -> tuple[int | None, int]:
    """Store a delivery; return its id (None when it was delivered before) and its number of alerts.

    Raises PayloadError when the body is not a webhook of Alertmanager.
    """
    found, bad = payloads.hook_alerts(body)
    if not found and bad:
        raise PayloadError(f"None of the {bad} alerts could be read.")
    digest = hashlib.blake2b(body, digest_size=16).digest()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO alerts_hookdelivery (upstream_id, received_at, body, digest, error)"
            " VALUES (%s, %s, %s, %s, '') ON CONFLICT (upstream_id, digest) DO NOTHING RETURNING id",
            [upstream.pk, timezone.now(), body, digest],
        )
        row = cursor.fetchone()
    return (row[0] if row else None), len(found)


def process_waiting(*, limit: int = BATCH) -> int:
    """Process the oldest waiting deliveries, each in a transaction of its own; return how many."""
    done = 0
    while done < limit and _process_next():
        done += 1
    return done


def _process_next() -> bool:
    """Process one delivery, skipping those another worker holds. False when none waits."""
    with transaction.atomic():
        waiting = HookDelivery.objects.filter(processed_at__isnull=True).order_by("id")
        delivery = waiting.select_for_update(skip_locked=True).first()
        if delivery is None:
            return False
        delivery.error = _merge_or_say(delivery)
        delivery.processed_at = timezone.now()
        delivery.save(update_fields=["processed_at", "error"])
    return True


def _merge_or_say(delivery: HookDelivery) -> str:
    """Merge one delivery; return what was wrong with it. One that always fails must not stop the queue."""
    try:
        with transaction.atomic():
            bad = _merge(delivery)
    except (DatabaseAway, InterfaceError):
        raise  # it waits for the database, and is merged then
    except PayloadError as error:
        return sanitize.text(error, 1000)
    except Exception as error:
        log.exception("The webhook delivery %d could not be merged.", delivery.pk)
        return FAILED.format(type(error).__name__)
    return f"{bad} alerts could not be read." if bad else ""


def forget_old(*, at: datetime) -> int:
    """Delete deliveries that were processed long ago; their effect is in the episodes."""
    deleted, _by_model = HookDelivery.objects.filter(processed_at__lt=at - KEEP).delete()
    return deleted


def _merge(delivery: HookDelivery) -> int:
    """Bring the episodes in line with one delivery; return how many alerts could not be read."""
    body = bytes(delivery.body)
    alerts, bad = payloads.hook_alerts(body)
    receiver = payloads.receiver_of(body)
    # One writer per upstream: the poller and other deliveries wait here.
    upstream = (
        Upstream.objects.select_for_update().only("pk", "options").get(pk=delivery.upstream_id)
    )
    latest = _latest_episodes(delivery.upstream_id, {alert.fingerprint for alert in alerts})
    at = timezone.now()
    _close(_proven(upstream, alerts, latest), latest, at)
    unheard = [alert for alert in _unique(alerts) if _is_unheard_of(alert, latest)]
    if unheard:
        catalogue = Catalogue.load()
        new = [rows.of_hook(a, catalogue, receiver=receiver, ends_at=_end(a)) for a in unheard]
        episodes.insert(delivery.upstream_id, new, source=Source.WEBHOOK, at=at)
    return bad


def _unique(alerts: Iterable[HookAlert]) -> list[HookAlert]:
    return list({alert.fingerprint: alert for alert in alerts}.values())


def _end(alert: HookAlert) -> datetime | None:
    """Return the exact end of a resolved alert, never before its start; None while it fires."""
    if alert.status != "resolved":
        return None
    starts_at = payloads.moment_of(alert.startsAt)
    return max(payloads.instant(alert.endsAt) or starts_at, starts_at)


def _latest_episodes(upstream_id: int, fingerprints: set[str]) -> Latest:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT ON (fingerprint) fingerprint, id, NOT state = 'resolved', starts_at, ends_at,"
            " closed_by, CASE WHEN missing_since IS NOT NULL THEN expires_at END FROM alerts_alert"
            " WHERE upstream_id = %s AND fingerprint = ANY(%s)"
            " ORDER BY fingerprint, (NOT state = 'resolved') DESC, ends_at DESC",
            [upstream_id, list(fingerprints)],
        )
        return {row[0]: Newest(*row[1:]) for row in cursor.fetchall()}


def _is_unheard_of(alert: HookAlert, latest: Latest) -> bool:
    """True when the alert belongs to no stored episode: neither an open one nor one that it began with.

    A firing alert that began before the last episode ended is a late repetition; if it really
    still fires, the next poll lists it.
    """
    if alert.fingerprint not in latest:
        return True
    known = latest[alert.fingerprint]
    return (
        not known.is_open
        and known.ends_at is not None
        and payloads.moment_of(alert.startsAt) > known.ends_at
    )


def _proven(upstream: Upstream, alerts: list[HookAlert], latest: Latest) -> list[HookAlert]:
    """Leave out ends that only say that nobody resends the alert any more: its Prometheus may be gone.

    Where a watchdog can tell, the polls close those.
    """
    watched = watchdogs.watched(upstream)
    doubtful = {a.fingerprint for a in alerts if a.status == "resolved" and watched(a.labels)}
    told = ends.recall(upstream) if doubtful else {}
    return [a for a in alerts if a.fingerprint not in doubtful or _came_early(a, told, latest)]


def _came_early(alert: HookAlert, told: Memory, latest: Latest) -> bool:
    """True when an alert ended before the end that was last told of it.

    Alertmanager ends what is not resent at that end; a Prometheus that sees it recover says so
    earlier. False when no end is remembered.
    """
    end, known = _end(alert), latest.get(alert.fingerprint)
    promised = told.get(alert.fingerprint)
    if promised is None and known is not None and known.promised_end is not None:
        promised = int(known.promised_end.timestamp())
    # What is remembered was rounded up to whole seconds.
    return end is None or known is None or (promised is not None and end.timestamp() < promised - 1)


def _close(alerts: list[HookAlert], latest: Latest, at: datetime) -> None:
    """Close open episodes at their exact end, and make the end of those closed by absence exact."""
    closing, exact = [], []
    for alert in alerts:
        end = _end(alert)
        if end is None or alert.fingerprint not in latest:
            continue
        known = latest[alert.fingerprint]
        if end < known.starts_at:
            continue  # a repetition of the end of an earlier episode
        if known.is_open:
            closing.append(Resolution(known.id, end, end))
        elif known.closed_by == Source.POLL and _began_before(alert, known.ends_at or end):
            exact.append((known.id, end))
    episodes.close(closing, source=Source.WEBHOOK, at=at)
    episodes.make_exact(exact, source=Source.WEBHOOK)


def _began_before(alert: HookAlert, moment: datetime) -> bool:
    return payloads.moment_of(alert.startsAt) <= moment


def wake(task: Any) -> None:
    """Start the task that processes deliveries; without a broker the next tick does it."""
    try:
        task.apply_async(retry=False)
    except (OperationalError, RedisError) as error:
        log.warning("No worker was woken for a webhook; the next tick processes it (%s).", error)
