"""Runs the detection rules over the stream of the audit trail.

The rules' state is held in the process; the cursor's row says up to where entries have been flagged.
A worker that takes over first replays the entries it has missed, without flagging them. So any worker
can continue, and a restart loses nothing.
"""

import json
import logging
import time
from dataclasses import dataclass, replace
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from audit import stream
from audit.models import AuditEntry
from audit.stream import Position
from security import flags, rule_settings
from security.audit_events import ACTIONS, event_of
from security.models import DetectorCursor
from security.rules import engine
from security.rules.engine import Engine
from security.rules.finding import Finding

log = logging.getLogger(__name__)
CURSOR = "rules"
BATCH = 2_000
MAX_BATCHES = 20


@dataclass
class _Follower:
    """An engine, the settings it was created with, and how far it has read."""

    engine: Engine
    settings: str
    position: Position


_followers: dict[str, _Follower] = {}  # at most one per process, keyed by the cursor's cluster


@dataclass(frozen=True, slots=True)
class Report:
    """The result of one run; `skipped` is True when another worker holds the cursor."""

    entries: int = 0
    findings: int = 0
    skipped: bool = False


def run() -> Report:
    """Process new entries in batches, each in one transaction; return the result."""
    entries = findings = 0
    for _ in range(MAX_BATCHES):
        try:
            report, is_more = _batch()
        except Exception:
            _followers.clear()  # the engine has seen events whose flags were rolled back
            raise
        if report.skipped:
            return Report(entries, findings, skipped=not entries)
        entries, findings = entries + report.entries, findings + report.findings
        if not is_more:
            break
    return Report(entries, findings)


@transaction.atomic
def _batch() -> tuple[Report, bool]:
    """Feed one batch, write its flags and advance the cursor; the second value is True if more entries wait."""
    before = stream.horizon()
    cursor = _lock(before)
    if cursor is None:
        return Report(skipped=True), False
    position = Position(cursor.txid, cursor.entry_id)
    follower = _follower_at(position, cursor)
    entries = stream.read(position, before, limit=BATCH, actions=ACTIONS)
    found: dict[tuple[str, str, str], Finding] = {}
    for entry in entries:
        for finding in _feed(follower.engine, entry):
            engine.merge(found, finding)
    for finding in found.values():
        _flag(finding)
    is_more = len(entries) == BATCH
    position = stream.position_of(entries[-1]) if is_more else max(position, before)
    follower.position = position
    cursor.txid, cursor.entry_id, cursor.ran_at = position.txid, position.entry_id, timezone.now()
    cursor.save(update_fields=["txid", "entry_id", "ran_at"])
    return Report(len(entries), len(found)), is_more


def _flag(finding: Finding) -> None:
    """Open or extend the flag. One that cannot be stored is logged, so that it does not hold up the others."""
    try:
        flags.open_or_extend(finding)
    except (DataError, IntegrityError, ValidationError):
        log.exception("A finding of %s about %s was lost.", finding.rule, finding.subject[:100])


def _lock(before: Position) -> DetectorCursor | None:
    """Return the cursor, locked; None while another worker has it. After a restore, it starts from now."""
    cluster = stream.cluster()
    facts = {"txid": before.txid, "cluster": cluster}
    DetectorCursor.objects.get_or_create(name=CURSOR, defaults=facts)
    cursor = DetectorCursor.objects.select_for_update(skip_locked=True).filter(name=CURSOR).first()
    if cursor is not None and cursor.cluster != cluster:
        log.warning("The database was restored into another cluster: the rules start from now.")
        cursor.txid, cursor.entry_id, cursor.cluster = before.txid, 0, cluster
        cursor.save(update_fields=["txid", "entry_id", "cluster"])
    return cursor


def _follower_at(position: Position, cursor: DetectorCursor) -> _Follower:
    """Return this process's engine, fed with everything up to `position`."""
    settings = rule_settings.enabled()
    written = json.dumps(settings, sort_keys=True)
    follower = _followers.get(cursor.cluster)
    since = None
    if follower is None or follower.settings != written or follower.position > position:
        follower = _Follower(Engine(settings), written, Position())
        since = (cursor.ran_at or timezone.now()) - timedelta(
            seconds=engine.longest_window_seconds(settings)
        )
        _followers.clear()
        _followers[cursor.cluster] = follower
    end = Position(position.txid + 1)
    while entries := stream.read(follower.position, end, limit=BATCH, actions=ACTIONS, since=since):
        known = [entry for entry in entries if stream.position_of(entry) <= position]
        for entry in known:
            _feed(follower.engine, entry)
        follower.position = stream.position_of(entries[-1])
        if len(known) < len(entries) or len(entries) < BATCH:
            break
    follower.position = position
    return follower


def _feed(rules: Engine, entry: AuditEntry) -> list[Finding]:
    event, now = event_of(entry), time.time()
    if event is None:
        return []
    if event.at > now + engine.LATE_SECONDS:
        # The clock was ahead for a while: the engine would take all later events for history.
        event = replace(event, at=now)
    return rules.feed(event)


def lag_seconds() -> float:
    """Return the age of the oldest entry that the rules have not read; 0 if they have read all."""
    cursor = DetectorCursor.objects.filter(name=CURSOR).first()
    if cursor is None:
        return 0.0
    far = Position(2**62)
    waiting = stream.read(Position(cursor.txid, cursor.entry_id), far, limit=1, actions=ACTIONS)
    return max(0.0, (timezone.now() - waiting[0].recorded_at).total_seconds()) if waiting else 0.0
