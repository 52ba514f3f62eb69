"""The status of a whole from the statuses of its parts (pure)."""

from collections.abc import Iterable
from dataclasses import dataclass

WORST_FIRST = ("down", "degraded", "up", "unknown")


@dataclass(frozen=True, slots=True)
class Part:
    """What one source says; an empty status says nothing at all."""

    status: str
    reason: str = ""


def combine(parts: Iterable[Part]) -> tuple[str, str]:
    """Return the worst known status with its reasons.

    Unknown is not worse than up: what cannot be seen does not hide what can. But the reason tells
    of it, and where nothing is known the whole is unknown.
    """
    said = [part for part in parts if part.status]
    if not said:
        return "unknown", "Nothing watches it: no target matches, and it has no check."
    status = min((part.status for part in said), key=WORST_FIRST.index)
    reasons = [p.reason for p in said if p.reason and p.status in (status, "unknown")]
    return status, " ".join(reasons)
