"""Plans the changes to the stored issues that follow from reading Sentry's list (pure).

No issue is resolved or marked as gone because it is absent: a page may be incomplete or empty, or the
poll may have read only recent changes.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from monitoring.errors.payloads import Listed

ServiceOf = Callable[[Mapping[str, str]], int | None]
TallyKey = tuple[str, int | None, datetime]
TALLIED = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Known:
    id: int
    content_hash: bytes
    status: str
    substatus: str
    count: int
    last_seen_at: datetime
    service_id: int | None
    assigned_to: str
    is_gone: bool
    is_missing: bool  # from the whole list; not yet requested by id


@dataclass(frozen=True, slots=True)
class Entry:
    """A new or changed issue; `id` is None for a new one, `steps` are its transitions."""

    id: int | None
    listed: Listed
    service_id: int | None
    substatus: str
    steps: tuple[str, ...]
    regressed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    entries: tuple[Entry, ...] = ()
    tallies: Mapping[TallyKey, int] = field(default_factory=dict)
    unchanged: int = 0

    def count(self, step: str) -> int:
        return sum(step in entry.steps for entry in self.entries)


def plan(
    known: Mapping[str, Known],
    seen: Iterable[Listed],
    *,
    now: datetime,
    service_of: ServiceOf,
    watched_since: datetime | None,
) -> Plan:
    """Return the differences from `known`. Of an issue that is listed twice, the first item counts.

    `watched_since` is the time up to which an earlier poll had read the list: all events of issues that
    began later are new. None for the first reading.
    """
    entries: list[Entry] = []
    tallies: Counter[TallyKey] = Counter()
    done: set[str] = set()
    unchanged = 0
    for item in seen:
        if item.issue_id in done:
            continue
        done.add(item.issue_id)
        old, service_id = known.get(item.issue_id), service_of(item.labels)
        if old and _is_same(old, item, service_id):
            unchanged += 1
            continue
        entries.append(_entry(old, item, service_id))
        for hour, events in _arrived(old, item, watched_since):
            if now - TALLIED < hour <= now and events:
                tallies[item.issue.project.slug, service_id, hour] += events
    return Plan(tuple(entries), dict(tallies), unchanged)


def _is_same(old: Known, item: Listed, service_id: int | None) -> bool:
    away = old.is_gone or old.is_missing
    return not away and old.service_id == service_id and old.content_hash == item.content_hash


def _entry(old: Known | None, item: Listed, service_id: int | None) -> Entry:
    if old is None:
        regressed = item.issue.substatus == "regressed"
        return Entry(
            None, item, service_id, item.issue.substatus or "", ("new",),
            item.last_seen_at if regressed else None,
        )  # fmt: skip
    step = step_between(old, item)
    substatus = item.issue.substatus or ""
    if not substatus and item.status == "unresolved":
        # The server sends no substatus: keep ours until the status changes again.
        substatus = "regressed" if step == "regressed" else old.substatus if not step else ""
    steps = [step] if step else []
    if old.is_gone:
        steps.insert(0, "returned")
    if item.assigned_to != old.assigned_to:
        steps.append("assigned" if item.assigned_to else "unassigned")
    regressed_at = item.last_seen_at if step == "regressed" else None
    return Entry(old.id, item, service_id, substatus, tuple(steps), regressed_at)


def step_between(old: Known, item: Listed) -> str:
    """Return the transition from the known to the listed state, or an empty string.

    From resolved to unresolved is a regression, unless the server says otherwise and there was no new
    event: then somebody has reopened it by hand.
    """
    word = item.issue.substatus or ""
    if item.status == old.status:
        missed = word == "regressed" and old.substatus != "regressed"
        return "regressed" if missed and item.status == "unresolved" else ""
    if item.status != "unresolved":
        return item.status
    if old.status != "resolved":
        return "reopened"
    by_hand = word not in ("", "regressed") and item.last_seen_at <= old.last_seen_at
    return "reopened" if by_hand else "regressed"


def _arrived(
    old: Known | None, item: Listed, watched_since: datetime | None
) -> Iterable[tuple[datetime, int]]:
    """Yield (hour, events) for events that were not known before."""
    if old is not None:
        yield hour_of(item.last_seen_at), max(0, item.count - old.count)
    elif trend := item.trend:
        for at, events in trend:
            yield hour_of(datetime.fromtimestamp(min(at, 4_000_000_000), UTC)), events
    elif watched_since is not None and item.first_seen_at > watched_since:
        yield hour_of(item.last_seen_at), item.count


def hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
