"""Defines the types of detection rules: findings, thresholds, rules, and the state that they share."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from security.rules.events import Event, Kind, network_of

EVIDENCE_LIMIT = 50
MAX_FAMILIAR_ACCOUNTS = 20_000
MAX_ATTACKS = 20_000
Thresholds = Mapping[str, float]
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Finding:
    """The match of a rule for a subject. `evidence` are the ids of the audit entries, newest last.

    `services` are the slugs in all events that were counted, also those beyond the limit of `evidence`.
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
    """A number of a rule that staff may change, within its bounds."""

    name: str
    default: float
    minimum: float
    maximum: float
    unit: str
    text: str


class Detector(Protocol):
    def feed(self, event: Event) -> Finding | None: ...


@dataclass
class SharedState:
    """State shared by the rules of an engine: recent attacks, and the networks accounts sign in from."""

    attacks: dict[tuple[str, str], Finding] = field(default_factory=dict)
    familiar: dict[str, set[str]] = field(default_factory=dict)

    def note_attack(self, finding: Finding) -> None:
        _put(self.attacks, (finding.subject_kind, finding.subject), finding, MAX_ATTACKS)

    def note_success(self, event: Event) -> None:
        networks = self.familiar.get(event.account, set()) | {network_of(event.address)}
        _put(self.familiar, event.account, networks, MAX_FAMILIAR_ACCOUNTS)

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
    make: Callable[[Thresholds, SharedState], Detector]
    is_attack: bool = False  # a success after it is suspicious

    @property
    def defaults(self) -> dict[str, float]:
        return {threshold.name: threshold.default for threshold in self.thresholds}


def score(base: float, count: float, threshold: float) -> int:
    """Return `base` at the threshold, plus ten for each doubling beyond it, 100 at most."""
    return min(100, round(base + 10 * math.log2(max(1.0, count / max(threshold, 1)))))


# The lowest score of each severity.
SEVERITIES = {"critical": 90, "high": 70, "medium": 40, "low": 0}


def severity(points: int) -> str:
    """Return the severity of a score."""
    return next((name for name, lowest in SEVERITIES.items() if points >= lowest), "low")


def scores_of(severity_name: str) -> range:
    """Return the scores that have a severity."""
    above = [lowest for lowest in SEVERITIES.values() if lowest > SEVERITIES[severity_name]]
    return range(SEVERITIES[severity_name], min(above, default=101))


def evidence(events: Iterable[Event]) -> tuple[int, ...]:
    """Return the ids of the newest events."""
    ids: Sequence[int] = [event.id for event in events]
    return tuple(ids[-EVIDENCE_LIMIT:])


def services(events: Iterable[Event]) -> tuple[str, ...]:
    """Return the slugs of the services that the events name, each once, in order."""
    return tuple(sorted({event.service for event in events if event.service}))
