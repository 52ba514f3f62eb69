"""When the status of a check flips: only after several answers in a row (pure)."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

UP, DEGRADED, DOWN, UNKNOWN = "up", "degraded", "down", "unknown"
_RANK = {UP: 0, DEGRADED: 1, DOWN: 2, UNKNOWN: 2}
# A check that was not asked for so many intervals, and a minute, was not watched in between.
GAP_INTERVALS = 3
GAP_GRACE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Answer:
    """How one run ended. `status` is unknown when the question itself could not be put."""

    status: str
    sentence: str = ""
    latency_seconds: float | None = None
    certificate_ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of a check before an answer."""

    status: str
    since: datetime
    pending_count: int = 0
    last_run_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How many answers in a row a flip takes, and how often there is one."""

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
class Step:
    """What to remember after an answer, and the flips it caused, oldest first."""

    status: str
    since: datetime
    pending_count: int
    flips: tuple[Flip, ...] = field(default=())


def decide(known: Memory, answer: Answer, patience: Patience, *, at: datetime) -> Step:
    """Return the memory after `answer`, with the flips that follow from it."""
    flips: list[Flip] = []
    status, since, pending = known.status, known.since, known.pending_count
    if gap := unwatched_since(known, patience, at=at):
        # Nobody looked for a while: that time is neither up nor down.
        flips.append(Flip(status, UNKNOWN, gap, "It was not checked for a while."))
        status, since, pending = UNKNOWN, gap, 0
    if answer.status == status:
        return Step(status, since, 0, tuple(flips))
    pending += 1
    if pending < needed(status, answer.status, patience):
        return Step(status, since, pending, tuple(flips))
    flips.append(Flip(status, answer.status, at, answer.sentence))
    return Step(answer.status, at, 0, tuple(flips))


def needed(old: str, new: str, patience: Patience) -> int:
    """Return how many answers in a row turn `old` into `new`.

    Out of unknown, a good answer counts at once: there is no news to wait for.
    """
    if old == UNKNOWN and new == UP:
        return 1
    if _RANK[new] > _RANK[old] or UNKNOWN in (old, new):
        return patience.failures_to_flip
    return patience.successes_to_recover


def unwatched_since(known: Memory, patience: Patience, *, at: datetime) -> datetime | None:
    """Return from when on nobody looked, when the last run is too long ago."""
    if known.last_run_at is None or known.status == UNKNOWN:
        return None
    if at - known.last_run_at <= patience.interval * GAP_INTERVALS + GAP_GRACE:
        return None
    return known.last_run_at + patience.interval
