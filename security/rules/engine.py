"""Runs the rules over a stream of events; its only clock is the events' times."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace

from security.rules import (
    brute_force,
    mass_export,
    scanner,
    second_factor,
    stuffing,
    success_after,
    token_client,
)
from security.rules.events import Event, Kind
from security.rules.finding import Detector, Finding, Rule, SharedState, Thresholds

RULES: dict[str, Rule] = {
    rule.id: rule
    for rule in (
        brute_force.BY_ADDRESS,
        brute_force.BY_ACCOUNT,
        stuffing.RULE,
        success_after.RULE,
        second_factor.RULE,
        token_client.RULE,
        mass_export.RULE,
        scanner.RULE,
    )
}
# An event older than the newest by more than this is imported history, not a late commit.
LATE_SECONDS = 3600


class Engine:
    """The state of all enabled rules. `settings` maps the id of each to its thresholds."""

    def __init__(self, settings: Mapping[str, Thresholds]) -> None:
        self._shared = SharedState()
        self._newest = float("-inf")
        self.skipped = 0
        self._by_kind: dict[Kind, list[tuple[Rule, Detector]]] = {kind: [] for kind in Kind}
        for rule_id, rule in RULES.items():
            if rule_id not in settings:
                continue
            detector = rule.make({**rule.defaults, **settings[rule_id]}, self._shared)
            for kind in rule.kinds:
                self._by_kind[kind].append((rule, detector))

    def feed(self, event: Event) -> list[Finding]:
        """Return the findings for this event, given all events before it."""
        if event.at < self._newest - LATE_SECONDS:
            self.skipped += 1
            return []
        self._newest = max(self._newest, event.at)
        findings = []
        for rule, detector in self._by_kind[event.kind]:
            found = detector.feed(event)
            if found is not None:
                found = _in_time_order(found)
                findings.append(found)
                if rule.is_attack:
                    self._shared.note_attack(found)
        if event.kind is Kind.LOGIN_SUCCEEDED:
            self._shared.note_success(event)
        return findings


def _in_time_order(found: Finding) -> Finding:
    """Swap first and last time if late events have reversed them."""
    if found.first_at <= found.last_at:
        return found
    return replace(found, first_at=found.last_at, last_at=found.first_at)


def run(events: Iterable[Event], settings: Mapping[str, Thresholds]) -> list[Finding]:
    """Return the last finding for each rule and subject over all events, strongest first."""
    return run_bounded(events, settings, most=sys.maxsize)[0]


def run_bounded(
    events: Iterable[Event], settings: Mapping[str, Thresholds], *, most: int
) -> tuple[list[Finding], bool]:
    """Return the findings of the `most` strongest subjects, strongest first, and whether others were left out."""
    engine, found, is_cut = Engine(settings), dict[tuple[str, str, str], Finding](), False
    for event in events:
        for finding in engine.feed(event):
            merge(found, finding)
        if len(found) > 2 * most:
            found = {_key(finding): finding for finding in _strongest(found)[:most]}
            is_cut = True
    return _strongest(found)[:most], is_cut or len(found) > most


def _key(finding: Finding) -> tuple[str, str, str]:
    return finding.rule, finding.subject_kind, finding.subject


def _strongest(found: Mapping[tuple[str, str, str], Finding]) -> list[Finding]:
    return sorted(
        found.values(), key=lambda finding: (-finding.score, finding.rule, finding.subject)
    )


def merge(found: dict[tuple[str, str, str], Finding], new: Finding) -> None:
    """Keep the strongest finding per rule and subject, with the time span of all of them."""
    key = _key(new)
    old = found.get(key)
    if old is None:
        found[key] = new
        return
    stronger = new if new.score >= old.score else old
    found[key] = Finding(
        rule=new.rule, subject_kind=new.subject_kind, subject=new.subject, name=new.name or old.name,
        score=stronger.score, counts=stronger.counts, sentence=stronger.sentence,
        first_at=min(old.first_at, new.first_at), last_at=max(old.last_at, new.last_at),
        evidence=tuple(dict.fromkeys((*old.evidence, *new.evidence)))[-50:],
        services=tuple(sorted({*old.services, *new.services})),
    )  # fmt: skip


def longest_window_seconds(settings: Mapping[str, Thresholds]) -> float:
    """Return how far back the rules look, which is what a new engine must be fed first."""
    units = {"s": 1.0, "min": 60.0, "h": 3600.0}
    lengths = [
        units[threshold.unit] * settings[rule.id].get(threshold.name, threshold.default)
        for rule in RULES.values()
        if rule.id in settings
        for threshold in rule.thresholds
        if threshold.unit in units
    ]
    return max(lengths, default=0.0)
