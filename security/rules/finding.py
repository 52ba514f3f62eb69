"""What a rule says, what a rule is, and what the rules of one engine share."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from security.rules.events import Event, Kind, network_of

EVIDENCE_LIMIT = 50
FAMILIAR_ACCOUNTS = 20_000
ATTACKS_KEPT = 20_000
Thresholds = Mapping[str, float]
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule holds for a subject. `evidence` are the ids of the entries, newest last.

    `services` are the slugs that what was counted names: more than the newest entries may say.
    """

    rule: str
    subject_kind: str  # address, account or token
    subject: str
    score: int
    first_at: float
    last_at: float
    counts: Mapping[str, int]
    evidence: tuple[int, ...]
    sentence: str
    name: str = ""
    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Threshold:
    """One number of a rule that staff may change, with the bounds in which it makes sense."""

    name: str
    default: float
    minimum: float
    maximum: float
    unit: str
    text: str


class Detector(Protocol):
    def feed(self, event: Event) -> Finding | None: ...


@dataclass
class Memory:
    """What rules learn from each other: who was attacked when, and who signs in from where."""

    attacks: dict[tuple[str, str], Finding] = field(default_factory=dict)
    familiar: dict[str, set[str]] = field(default_factory=dict)

    def note_attack(self, finding: Finding) -> None:
        _put(self.attacks, (finding.subject_kind, finding.subject), finding, ATTACKS_KEPT)

    def note_success(self, event: Event) -> None:
        networks = self.familiar.get(event.account, set()) | {network_of(event.address)}
        _put(self.familiar, event.account, networks, FAMILIAR_ACCOUNTS)

    def is_familiar(self, event: Event) -> bool:
        """True when the account has signed in from the event's network before."""
        return network_of(event.address) in self.familiar.get(event.account, ())


def _put(kept: dict[Key, Value], key: Key, value: Value, most: int) -> None:
    kept.pop(key, None)
    if len(kept) >= most:
        del kept[next(iter(kept))]
    kept[key] = value


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as data: its id is stored with each flag and never changes."""

    id: str
    title: str
    explanation: str
    reference: str
    kinds: frozenset[Kind]
    thresholds: tuple[Threshold, ...]
    make: Callable[[Thresholds, Memory], Detector]
    is_attack: bool = False  # a success after it is suspicious

    @property
    def defaults(self) -> dict[str, float]:
        return {threshold.name: threshold.default for threshold in self.thresholds}


def score(base: float, count: float, threshold: float) -> int:
    """Return `base` at the threshold, ten more for each doubling beyond it, 100 at most."""
    return min(100, round(base + 10 * math.log2(max(1.0, count / max(threshold, 1)))))


def severity(points: int) -> str:
    """Return the word for a score: critical from 90, high from 70, medium from 40, else low."""
    for least, word in ((90, "critical"), (70, "high"), (40, "medium")):
        if points >= least:
            return word
    return "low"


def evidence(events: Iterable[Event]) -> tuple[int, ...]:
    """Return the ids of the newest events."""
    ids: Sequence[int] = [event.id for event in events]
    return tuple(ids[-EVIDENCE_LIMIT:])


def services(events: Iterable[Event]) -> tuple[str, ...]:
    """Return the services that the events name, each once, by slug."""
    return tuple(sorted({event.service for event in events if event.service}))
