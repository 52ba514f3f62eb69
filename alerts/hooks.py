"""Alertmanager's webhook: the body is stored, acknowledged at once, and merged by a task.

Stored deliveries are the queue. An identical body is the same delivery, and processing is idempotent,
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


class LatestEpisode(NamedTuple):
    """The latest episode of a fingerprint. `promised_end`: the last known endsAt of one no longer listed."""

    id: int
    is_open: bool
    starts_at: datetime
    ends_at: datetime | None
    closed_by: str
    promised_end: datetime | None


LatestByFingerprint = dict[str, LatestEpisode]


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
        delivery.error = _merge_or_error(delivery)
        delivery.processed_at = timezone.now()
        delivery.save(update_fields=["processed_at", "error"])
    return True


def _merge_or_error(delivery: HookDelivery) -> str:
    """Merge one delivery; return the error, if any. One that always fails must not stop the queue."""
    try:
        with transaction.atomic():
            bad = _merge(delivery)
    except (DatabaseAway, InterfaceError):
        raise  # the delivery stays in the queue until the database is back
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
    _close(_without_doubtful_ends(upstream, alerts, latest), latest, at)
    new_alerts = [alert for alert in _unique(alerts) if _begins_episode(alert, latest)]
    if new_alerts:
        catalogue = Catalogue.load()
        new = [rows.of_hook(a, catalogue, receiver=receiver, ends_at=_end(a)) for a in new_alerts]
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


def _latest_episodes(upstream_id: int, fingerprints: set[str]) -> LatestByFingerprint:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT ON (fingerprint) fingerprint, id, NOT state = 'resolved', starts_at, ends_at,"
            " closed_by, CASE WHEN missing_since IS NOT NULL THEN expires_at END FROM alerts_alert"
            " WHERE upstream_id = %s AND fingerprint = ANY(%s)"
            " ORDER BY fingerprint, (NOT state = 'resolved') DESC, ends_at DESC",
            [upstream_id, list(fingerprints)],
        )
        return {row[0]: LatestEpisode(*row[1:]) for row in cursor.fetchall()}


def _begins_episode(alert: HookAlert, latest: LatestByFingerprint) -> bool:
    """True when the alert begins a new episode: none is open, and it began after the latest one ended.

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


def _without_doubtful_ends(
    upstream: Upstream, alerts: list[HookAlert], latest: LatestByFingerprint
) -> list[HookAlert]:
    """Leave out ends that may only mean that nobody resends the alert, as when its Prometheus is down.

    This concerns alerts that a watchdog covers; polls close those, with the watchdog's help.
    """
    watched = watchdogs.watched(upstream)
    doubtful = {a.fingerprint for a in alerts if a.status == "resolved" and watched(a.labels)}
    remembered = ends.recall(upstream) if doubtful else {}
    return [
        a
        for a in alerts
        if a.fingerprint not in doubtful or _ended_before_expiry(a, remembered, latest)
    ]


def _ended_before_expiry(alert: HookAlert, remembered: Memory, latest: LatestByFingerprint) -> bool:
    """True when an alert ended before its last known endsAt.

    Alertmanager resolves an alert that is not resent exactly at its endsAt; a Prometheus that sees it
    recover reports that earlier. False when no endsAt is known.
    """
    end, known = _end(alert), latest.get(alert.fingerprint)
    promised = remembered.get(alert.fingerprint)
    if promised is None and known is not None and known.promised_end is not None:
        promised = int(known.promised_end.timestamp())
    # The remembered endsAt is rounded up to whole seconds.
    return end is None or known is None or (promised is not None and end.timestamp() < promised - 1)


def _close(alerts: list[HookAlert], latest: LatestByFingerprint, at: datetime) -> None:
    """Close open episodes at their exact end, and make the end of those closed by absence exact."""
    closing, exact = [], []
    for alert in alerts:
        end = _end(alert)
        if end is None or alert.fingerprint not in latest:
            continue
        known = latest[alert.fingerprint]
        if end < known.starts_at:
            continue  # repeats the end of an earlier episode
        if known.is_open:
            closing.append(Resolution(known.id, end, end))
        elif known.closed_by == Source.POLL and _began_before(alert, known.ends_at or end):
            exact.append((known.id, end))
    episodes.close(closing, source=Source.WEBHOOK, at=at)
    episodes.make_exact(exact, source=Source.WEBHOOK)


def _began_before(alert: HookAlert, moment: datetime) -> bool:
    return payloads.moment_of(alert.startsAt) <= moment


def start_processing(task: Any) -> None:
    """Start the task that processes deliveries; without a broker the next tick does it."""
    try:
        task.apply_async(retry=False)
    except (OperationalError, RedisError) as error:
        log.warning("No worker was woken for a webhook; the next tick processes it (%s).", error)
