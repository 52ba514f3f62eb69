"""Computes the uptime of a window from the flips of a status (pure)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

STATUSES = ("up", "degraded", "down", "unknown")


@dataclass(frozen=True, slots=True)
class Span:
    """A period with one status."""

    status: str
    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()


@dataclass(frozen=True, slots=True)
class Uptime:
    """Seconds per status, and how often it went down. `ratio` is None when nothing was known."""

    seconds: dict[str, float]
    incidents: int
    ratio: float | None

    @property
    def percent(self) -> float | None:
        return None if self.ratio is None else self.ratio * 100


def spans(
    flips: Iterable[tuple[datetime, str]], *, before: str, start: datetime, end: datetime
) -> list[Span]:
    """Return the window split at each flip. `flips` are (time, new status); `before` is the status at `start`."""
    inside = sorted(((at, new) for at, new in flips if start < at < end), key=lambda flip: flip[0])
    edges = [(start, before or "unknown"), *inside, (end, "")]
    cut = [Span(status, a, b) for (a, status), (b, _) in pairwise(edges) if b > a]
    merged: list[Span] = []
    for span in cut:
        if merged and merged[-1].status == span.status:
            merged[-1] = Span(span.status, merged[-1].start, span.end)
        else:
            merged.append(span)
    return merged


def uptime(stretches: Iterable[Span]) -> Uptime:
    """Return the share of the known time in which it was up or degraded, that is, in which it answered.

    Unknown time counts neither way; a period of down that began before the window counts as an incident.
    """
    seconds = dict.fromkeys(STATUSES, 0.0)
    incidents = 0
    for span in stretches:
        seconds[span.status] += span.seconds
        incidents += span.status == "down"
    known = seconds["up"] + seconds["degraded"] + seconds["down"]
    ratio = (seconds["up"] + seconds["degraded"]) / known if known else None
    return Uptime(seconds, incidents, ratio)
