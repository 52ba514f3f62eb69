"""Defines what a poll knows, sees and changes, as plain values (pure). Times are by the upstream's clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from alerts.payloads import ListedAlert


@dataclass(frozen=True, slots=True)
class Known:
    """An open episode as stored."""

    id: int
    fingerprint: str
    content_hash: bytes
    state: str
    starts_at: datetime
    missing_since: datetime | None = None
    last_listed_at: datetime | None = None
    refreshed_at: datetime | None = None
    expires_at: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Closed:
    """The last closed episode of a fingerprint; `local_closed_at` is by our clock."""

    id: int
    fingerprint: str
    local_closed_at: datetime
    by_poll: bool


@dataclass(frozen=True, slots=True)
class Server:
    """What is known about the upstream at this poll."""

    started_at: datetime | None = None
    members: int = 1
    members_failed: int = 0
    unreadable: int = 0
    streak_since: datetime | None = None
    previous_success: datetime | None = None
    settling_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    known: Known
    alert: ListedAlert


@dataclass(frozen=True, slots=True)
class Absence:
    """An episode that is missing for the first time: when it was last seen, and its last known endsAt."""

    id: int
    last_seen: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Resolution:
    """The end of an episode, which lies between `after` and `before`."""

    id: int
    after: datetime
    before: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write; while `settling` is set, it says why nothing is closed. Also formats the poll's log line."""

    seen: int = 0
    opened: tuple[ListedAlert, ...] = ()
    reopened: tuple[tuple[Closed, ListedAlert], ...] = ()
    changed: tuple[Change, ...] = ()
    returned: tuple[Known, ...] = ()
    missing: tuple[Absence, ...] = ()
    resolved: tuple[Resolution, ...] = ()
    held: int = 0
    settling: str = ""

    @property
    def is_empty(self) -> bool:
        lists = (
            self.opened,
            self.reopened,
            self.changed,
            self.returned,
            self.missing,
            self.resolved,
        )
        return not any(lists)

    def __str__(self) -> str:
        counts = {
            "seen": self.seen,
            "opened": len(self.opened),
            "reopened": len(self.reopened),
            "changed": len(self.changed),
            "returned": len(self.returned),
            "missing": len(self.missing),
            "resolved": len(self.resolved),
            "held": self.held,
        }
        line = ", ".join(
            f"{count} {name}" for name, count in counts.items() if count or name == "seen"
        )
        return f"{line}; settling: {self.settling}" if self.settling else line
