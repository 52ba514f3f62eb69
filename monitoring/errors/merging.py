"""Compares the issues that a poll has read with the stored ones, and writes the differences in batches."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import cached_property

from django.db import transaction
from django.utils import timezone

from monitoring.errors import alerting, bounds, store
from monitoring.errors.matching import service_finder
from monitoring.errors.models import ErrorIssue
from monitoring.errors.payloads import Listed
from monitoring.errors.reconcile import Plan, ServiceOf, plan
from portal.core.models import Upstream

BATCH = 1000
STEPS = ("new", "regressed", "resolved", "ignored", "reopened")


class Merger:
    """Collects the issues of one poll, writes them in batches, and counts in `found` what changed.

    `watched_since` is the time up to which an earlier poll has read the list; None for the first poll.
    `old_until` is when the first full synchronisation began, until that has finished: older issues raise
    no alert.
    """

    def __init__(
        self,
        upstream: Upstream,
        *,
        watched_since: datetime | None,
        old_until: datetime | None,
        found: Counter[str],
    ) -> None:
        self.upstream, self.watched_since, self.found = upstream, watched_since, found
        self.old_until = old_until
        self.fetched_at = timezone.now()
        self._waiting: list[Listed] = []

    @cached_property
    def service_of(self) -> ServiceOf:
        return service_finder()

    @cached_property
    def _known_before(self) -> int:
        return ErrorIssue.objects.filter(upstream=self.upstream).count()

    def begin(self) -> None:
        """Record the start of a fetch: changes made through the portal from now on are newer than its result."""
        if not self._waiting:
            self.fetched_at = timezone.now()

    def add(self, issues: Iterable[Listed]) -> None:
        self._waiting += issues
        if len(self._waiting) >= BATCH:
            self.flush()

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self.apply(waiting)

    def apply(self, seen: list[Listed]) -> None:
        at = timezone.now()
        known = store.load_known(self.upstream.pk, [item.issue_id for item in seen])
        changes = self._with_room(
            plan(known, seen, now=at, service_of=self.service_of, watched_since=self.watched_since)
        )
        if changes.entries:
            with transaction.atomic():
                store.write(self.upstream.pk, changes, fetched_at=self.fetched_at, at=at)
                alerting.update_alerts(self.upstream, changes, old_until=self.old_until)
        self.found["read"] += len(seen)
        self.found["changed"] += sum(entry.id is not None for entry in changes.entries)
        for step in STEPS:
            self.found[step] += changes.count(step)

    def _with_room(self, changes: Plan) -> Plan:
        """Drop new issues once MOST_KEPT issues of this Sentry are stored."""
        fresh = [entry for entry in changes.entries if entry.id is None]
        if not fresh:
            return changes
        room = max(0, bounds.MOST_KEPT - self._known_before - self.found["new"])
        if len(fresh) <= room:
            return changes
        self.found["left_out"] += len(fresh) - room
        kept = [entry for entry in changes.entries if entry.id is not None]
        return replace(changes, entries=(*kept, *fresh[:room]), tallies={})
