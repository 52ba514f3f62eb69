"""Combines the statuses of parts into one (pure)."""

from collections.abc import Iterable
from dataclasses import dataclass

WORST_FIRST = ("down", "degraded", "up", "unknown")


@dataclass(frozen=True, slots=True)
class Part:
    """The status that one source reports; empty when the source does not watch the service."""

    status: str
    reason: str = ""


def combine(parts: Iterable[Part]) -> tuple[str, str]:
    """Return the worst known status with its reasons.

    Unknown does not outrank up, so that a part without data does not hide one with data. The reason still
    mentions it, and if every part is unknown, so is the result.
    """
    said = [part for part in parts if part.status]
    if not said:
        return "unknown", "Not monitored: no target matches, and it has no check."
    status = min((part.status for part in said), key=WORST_FIRST.index)
    reasons = [p.reason for p in said if p.reason and p.status in (status, "unknown")]
    return status, " ".join(reasons)
