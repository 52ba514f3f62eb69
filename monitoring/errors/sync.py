"""Polls a Sentry: reads what has changed since the last poll, and at intervals the whole list.

The list is ordered by latest event. A poll reads it down to where the previous one began. Resolving an
issue in Sentry does not move it to the top, so such changes are found only by reading the whole list
(`full_sync_minutes`). If time or the rate limit runs out, the next poll continues from there.
"""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from monitoring.errors import alerting, bounds, poll_report, store
from monitoring.errors.matching import catalogue_mark
from monitoring.errors.merging import Merger
from monitoring.errors.models import ErrorIssue, ErrorSync
from monitoring.sentry import SORTS, Page, Sentry
from portal.core.connect import DEFAULT_TIMEOUT_SECONDS
from portal.core.http import UpstreamError
from portal.core.models import Upstream
from portal.core.polling import Report

# The lists of busy servers lag behind their events.
OVERLAP = timedelta(minutes=5)
DEFAULT_FULL_SYNC_MINUTES = 60
# For a server whose pages never end, or a pass made meaningless by a week of failures.
LONGEST_PASS = timedelta(days=1)
ASKED_PER_POLL = 20


def poll(upstream: Upstream) -> Report:
    """Bring the stored issues in line with what Sentry lists now. Raises UpstreamError."""
    state = ErrorSync.objects.get_or_create(upstream=upstream)[0]
    with Sentry(upstream) as client:
        run = Run(upstream, state, client)
        try:
            run.everything()
        finally:
            run.keep()  # a poll that fails half-way is continued from there
    return run.report()


class Run:
    """The state of one poll: how much it may still read, its place in the list, and its results."""

    def __init__(self, upstream: Upstream, state: ErrorSync, client: Sentry) -> None:
        self.upstream, self.state, self.client = upstream, state, client
        self.began = timezone.now()
        allowed = float(upstream.option("timeout_seconds", DEFAULT_TIMEOUT_SECONDS))
        self.spent = bounds.within(allowed)
        self.projects = frozenset(upstream.option("projects", []))
        self.found: Counter[str] = Counter()
        self.skew_seconds: float | None = None
        self.merger = Merger(
            upstream,
            watched_since=state.newest_seen_at,
            old_until=None if state.full_completed_at else state.full_started_at or self.began,
            found=self.found,
        )
        self._listed: list[str] = []  # ids from all pages of this poll, including the full list
        self._same: dict[bytes, str] = {}  # items that need not be decoded
        self._asked: set[str | None] = set()  # pages already read of the current list
        self._before = self._facts()

    def everything(self) -> None:
        if self.state.newest_seen_at is not None:
            self._recent(self.state.newest_seen_at)
        if self._full_is_due() and self.spent.may_go_on:
            self._full()
        self.merger.flush()
        if self.spent.may_go_on:
            self._ask_for_missing()

    # --- Reading ---------------------------------------------------------------------------------

    def _recent(self, bound: datetime) -> None:
        """Read from the top until a page reaches back beyond `bound`."""
        query, newest = None, bound
        self._asked.clear()
        while True:
            page = self._read(query)
            newest = max([newest, *(item.last_seen_at for item in page.issues)])
            query = page.next_query
            if query is None or (page.issues and page.issues[-1].last_seen_at < bound - OVERLAP):
                break
            if not self.spent.may_go_on:
                self._begin_full(query)  # too much for one poll: read the whole list
                break
        self.state.newest_seen_at = min(newest, self.began)

    def _full_is_due(self) -> bool:
        state = self.state
        if state.full_started_at is not None and self.began - state.full_started_at > LONGEST_PASS:
            state.full_started_at, state.full_cursor, state.full_seen = None, "", []
        if state.full_started_at is not None or state.full_completed_at is None:
            return True
        minutes = int(self.upstream.option("full_sync_minutes", DEFAULT_FULL_SYNC_MINUTES))
        return self.began - state.full_completed_at >= timedelta(minutes=minutes)

    def _begin_full(self, query: str) -> None:
        if self.state.full_started_at is None:
            self.state.full_started_at, self.state.full_cursor = self.began, query

    def _full(self) -> None:
        """Continue reading the whole list; at its end, record which issues were missing."""
        state = self.state
        if state.full_started_at is None:
            state.full_started_at, state.full_cursor, state.full_seen = self.began, "", []
        newest = state.newest_seen_at
        mark = catalogue_mark(self.projects)
        self._same = store.load_same(self.upstream.pk) if state.catalogue == mark else {}
        self._asked.clear()
        while True:
            page = self._read_at_cursor()
            if newest is None and page.issues:
                newest = max(item.last_seen_at for item in page.issues)
                state.newest_seen_at = min(newest, self.began)
            state.full_cursor = page.next_query or ""
            endless = len(state.full_seen) + len(self._listed) >= bounds.MOST_KEPT
            if page.next_query is None or endless:
                self.merger.flush()
                self.found["endless"] = int(endless)
                self._finish_full()
                state.catalogue = mark
                return
            if not self.spent.may_go_on:
                return

    def _read_at_cursor(self) -> Page:
        """Read the next page; start again if the server no longer accepts the cursor."""
        try:
            return self._read(self.state.full_cursor or None)
        except UpstreamError as error:
            if error.status not in (400, 422) or not self.state.full_cursor:
                raise
            self.state.full_cursor = ""
            self._asked.clear()
            return self._read(None)

    def _finish_full(self) -> None:
        state = self.state
        whole = not self.found["bad"] and not self.found["endless"]
        if state.full_started_at is not None and whole:
            at = timezone.now()
            self.found["missing"] += store.mark_missing(
                self.upstream.pk, self._seen(), began=state.full_started_at, at=at
            )
        if state.newest_seen_at is None:  # the list was empty, so all later issues are new
            behind = timedelta(seconds=min(self.skew_seconds or 0, 0))
            state.newest_seen_at = (state.full_started_at or self.began) + behind
        state.full_completed_at, state.full_started_at = timezone.now(), None
        state.full_cursor, state.full_seen = "", []
        self.found["full"] = 1

    def _seen(self) -> list[str]:
        """Return the ids found so far in this pass over the whole list, over all its polls."""
        return list({*self.state.full_seen, *self._listed})

    def _read(self, query: str | None) -> Page:
        self.merger.begin()
        page = self._ask(query)
        self._asked.add(query)
        if page.next_query in self._asked:  # the server's pages form a cycle
            page = replace(page, next_query=None)
        kept = [
            i for i in page.issues if not self.projects or i.issue.project.slug in self.projects
        ]
        self._listed += [*page.same, *(item.issue_id for item in kept)]
        self.found["read"] += len(page.same)
        self.found["bad"] += page.bad
        self.skew_seconds = page.skew_seconds
        read = len(page.same) + len(page.issues) + page.bad
        self.spent.spend(read, pause_until=page.pause_until)
        self.merger.add(kept)
        return page

    def _ask(self, query: str | None) -> Page:
        try:
            return self.client.issues(query, sort=self.state.sort, known=self._same)
        except UpstreamError as error:
            if query or error.status not in (400, 422) or self.state.sort == SORTS[1]:
                raise
        page = self.client.issues(sort=SORTS[1])
        self.state.sort = SORTS[1]
        return page

    # --- Asking one by one ------------------------------------------------------------------------

    def _ask_for_missing(self) -> None:
        """Request the issues missing from the whole list one by one; only a "not found" marks one as gone."""
        missing = ErrorIssue.objects.filter(upstream=self.upstream, missing_since__isnull=False)
        rows = missing.select_related("upstream")
        for row in rows.order_by("missing_since", "id")[:ASKED_PER_POLL]:
            if not self.spent.may_go_on:
                return
            self.merger.begin()
            at = timezone.now()
            listed = self.client.issue(row.issue_id)
            if listed is None:
                self._is_gone(row, "Deleted, or merged into another issue.", at)
                self.found["gone"] += 1
            elif self.projects and listed.issue.project.slug not in self.projects:
                self._is_gone(row, "Its project is no longer watched.", at)
            else:
                self.merger.apply([listed])
                ErrorIssue.objects.filter(pk=row.pk).update(missing_since=None, checked_at=at)

    @staticmethod
    @transaction.atomic
    def _is_gone(row: ErrorIssue, why: str, at: datetime) -> None:
        store.mark_gone(row.pk, text=why, at=at)
        alerting.clear(row, reason=why)

    # --- Telling ---------------------------------------------------------------------------------

    def _facts(self) -> tuple[Any, ...]:
        state = self.state
        return (
            state.sort, state.catalogue, state.newest_seen_at, state.full_started_at, state.full_completed_at,
            state.full_cursor, len(state.full_seen),
        )  # fmt: skip

    def keep(self) -> None:
        """Store the progress of this poll; issues that were read but not yet written will be read again."""
        self.merger.flush()
        if self._facts() != self._before:
            if self.state.full_started_at is not None:
                self.state.full_seen = self._seen()
            self.state.save()

    def report(self) -> Report:
        state, spent = self.state, self.spent
        return Report(
            summary=poll_report.summary(self.found, spent.pages),
            skew_seconds=self.skew_seconds,
            warning=poll_report.warning(state, self.found, spent),
            observed=poll_report.observed(state, self.client.organization, spent.pages),
            not_before=spent.pause_until,
        )
