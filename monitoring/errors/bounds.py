"""Limits how much one poll of a Sentry reads, and how many issues of one Sentry are stored.

Whether a server is busy, broken or returns pages without end, each poll and the table stay limited.
"""

import time
from dataclasses import dataclass
from datetime import datetime

BUDGET_SECONDS = 45.0
MOST_PAGES = 1_000
MOST_READ = 100_000
MOST_KEPT = 500_000


@dataclass(slots=True)
class Bounds:
    """What one poll has used up. `ends` is in monotonic time."""

    ends: float
    pages: int = 0
    issues: int = 0
    pause_until: datetime | None = None

    def spend(self, issues: int, *, pause_until: datetime | None) -> None:
        self.pages += 1
        self.issues += issues
        self.pause_until = pause_until

    @property
    def is_full(self) -> bool:
        return self.pages >= MOST_PAGES or self.issues >= MOST_READ

    @property
    def may_go_on(self) -> bool:
        return self.pause_until is None and not self.is_full and time.monotonic() < self.ends


def within(allowed_seconds: float) -> Bounds:
    return Bounds(ends=time.monotonic() + min(BUDGET_SECONDS, allowed_seconds))
