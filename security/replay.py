"""Replays history through the rules without writing: streamed, one at a time, limited in rows, time and memory."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from audit.models import AuditEntry
from security import rule_settings
from security.audit_events import ACTIONS, event_of
from security.rule_settings import Settings
from security.rules import engine
from security.rules.events import Event
from security.rules.finding import Finding, Thresholds

CHUNK = 1_000
MOST_EVENTS = 200_000
MOST_SUBJECTS = 2_000
MOST_SECONDS = 20.0  # blocks a web worker for no longer
LOCK = 7_203_115  # advisory lock: one replay at a time, however many web workers there are
COLUMNS = ("id", "recorded_at", "action", "data", "reason", "target_type", "target_id", "target_name", "actor_id",
           "actor_name", "source_ip", "user_agent", "http_status", "url_path")  # fmt: skip


class ReplayBusyError(Exception):
    """Another replay is running; the message says what to do."""

    def __init__(self) -> None:
        super().__init__(
            f"Another replay is running, and only one can run at a time. Try again in {MOST_SECONDS:.0f} seconds."
        )


@dataclass(frozen=True, slots=True)
class Replay:
    """What would have been flagged; `is_truncated` when the range contains more than was read."""

    events: int
    findings: tuple[Finding, ...]
    is_truncated: bool


class _Stream:
    """The events of a range, oldest first, up to a limit of rows and time."""

    def __init__(self, since: datetime, until: datetime) -> None:
        rows = AuditEntry.objects.filter(
            action__in=ACTIONS, recorded_at__gte=since, recorded_at__lt=until
        )
        self._rows = rows.order_by("recorded_at", "id").only(*COLUMNS)
        self.count, self.is_truncated = 0, False

    def __iter__(self) -> Iterator[Event]:
        ends = time.monotonic() + MOST_SECONDS
        for seen, entry in enumerate(self._rows[: MOST_EVENTS + 1].iterator(chunk_size=CHUNK)):
            if seen >= MOST_EVENTS or time.monotonic() >= ends:
                self.is_truncated = True
                return
            if (event := event_of(entry)) is not None:
                self.count += 1
                yield event


def replay(
    *,
    since: datetime,
    until: datetime,
    rules: Sequence[str] = (),
    thresholds: Mapping[str, Thresholds] | None = None,
) -> Replay:
    """Run `rules` (default: the enabled ones) over the history of a range. Raises ReplayBusyError."""
    settings = _settings_of(rules, thresholds or {})
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Released at the end of the transaction, even if the process is killed.
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
            if not cursor.fetchone()[0]:
                raise ReplayBusyError
        events = _Stream(since, until)
        found, is_cut = engine.run_bounded(events, settings, most=MOST_SUBJECTS)
    return Replay(events.count, tuple(found), is_truncated=events.is_truncated or is_cut)


def _settings_of(rules: Sequence[str], thresholds: Mapping[str, Thresholds]) -> Settings:
    rows = rule_settings.every()
    wanted = rules or list(rule_settings.enabled())
    return {rule_id: {**rows[rule_id], **thresholds.get(rule_id, {})} for rule_id in wanted}
