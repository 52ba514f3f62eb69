"""Decides when the status of a check flips: only after several results in a row (pure)."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

UP, DEGRADED, DOWN, UNKNOWN = "up", "degraded", "down", "unknown"
_RANK = {UP: 0, DEGRADED: 1, DOWN: 2, UNKNOWN: 2}
# If the last run of a check is longer ago than this, the time in between counts as unwatched.
GAP_INTERVALS = 3
GAP_GRACE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of one run. `status` is unknown when the probe itself could not be made."""

    status: str
    sentence: str = ""
    latency_seconds: float | None = None
    certificate_ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CheckState:
    """The state of a check before a result. `pending_count`: results in a row that differ from `status`."""

    status: str
    since: datetime
    pending_count: int = 0
    last_run_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FlipPolicy:
    """How many results in a row a flip takes, and the interval of the check."""

    failures_to_flip: int = 3
    successes_to_recover: int = 1
    interval: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Flip:
    old: str
    new: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class NextState:
    """The state of a check after a result, and the flips that it caused, oldest first."""

    status: str
    since: datetime
    pending_count: int
    flips: tuple[Flip, ...] = field(default=())


def decide(
    known: CheckState, result: ProbeResult, policy: FlipPolicy, *, at: datetime
) -> NextState:
    """Return the state of the check after `result`, with the flips that it causes."""
    flips: list[Flip] = []
    status, since, pending = known.status, known.since, known.pending_count
    if gap := unwatched_since(known, policy, at=at):
        # Time without runs counts as neither up nor down.
        flips.append(Flip(status, UNKNOWN, gap, "It was not checked for some time."))
        status, since, pending = UNKNOWN, gap, 0
    if result.status == status:
        return NextState(status, since, 0, tuple(flips))
    pending += 1
    if pending < needed(status, result.status, policy):
        return NextState(status, since, pending, tuple(flips))
    flips.append(Flip(status, result.status, at, result.sentence))
    return NextState(result.status, at, 0, tuple(flips))


def needed(old: str, new: str, policy: FlipPolicy) -> int:
    """Return how many results in a row turn `old` into `new`.

    From unknown to up a single one is enough: a recovery from unknown needs no confirmation.
    """
    if old == UNKNOWN and new == UP:
        return 1
    if _RANK[new] > _RANK[old] or UNKNOWN in (old, new):
        return policy.failures_to_flip
    return policy.successes_to_recover


def unwatched_since(known: CheckState, policy: FlipPolicy, *, at: datetime) -> datetime | None:
    """Return when the unwatched time began if the last run is too long ago, else None."""
    if known.last_run_at is None or known.status == UNKNOWN:
        return None
    if at - known.last_run_at <= policy.interval * GAP_INTERVALS + GAP_GRACE:
        return None
    return known.last_run_at + policy.interval
