"""Detects scanners: one address requests paths that do not exist, or that contain attack patterns."""

from collections import deque

from security.rules.events import Event, Kind
from security.rules.finding import (
    Finding,
    Rule,
    SharedState,
    Threshold,
    Thresholds,
    evidence,
    score,
    services,
)
from security.rules.windows import Windows, distinct


class Scanner:
    def __init__(self, thresholds: Thresholds, _shared: SharedState) -> None:
        self._refused, self._missing = thresholds["refused"], thresholds["missing"]
        self._attacks = thresholds["attacks"]
        self._by_refusal = Windows(thresholds["refused_seconds"])
        self._by_path = Windows(thresholds["missing_seconds"])
        self._by_pattern = Windows(thresholds["attacks_seconds"])

    def feed(self, event: Event) -> Finding | None:
        """Return the worst finding of: attack patterns, distinct missing paths, refused requests."""
        if not event.source:
            return None
        patterns = self._by_pattern.add(event.source, event) if event.signal else None
        missing = self._by_path.add(event.source, event) if event.status == 404 else None
        refused = self._by_refusal.add(event.source, event) if 400 <= event.status < 500 else None
        if patterns is not None and len(patterns) >= self._attacks:
            kinds = ", ".join(sorted(distinct(patterns, lambda e: e.signal)))
            return self._finding(
                event, patterns, len(patterns), self._attacks, 80, f"attack patterns ({kinds})"
            )
        if missing is not None and len(missing) >= self._missing:
            paths = len(distinct(missing, lambda e: e.path))
            if paths >= self._missing:
                return self._finding(
                    event, missing, paths, self._missing, 50, "different missing paths"
                )
        if refused is not None and len(refused) >= self._refused:
            return self._finding(
                event, refused, len(refused), self._refused, 50, "rejected requests"
            )
        return None

    @staticmethod
    def _finding(
        event: Event, events: deque[Event], count: int, threshold: float, base: int, what: str
    ) -> Finding:
        seconds = event.at - events[0].at
        return Finding(
            rule=RULE.id, subject_kind="address", subject=event.source, score=score(base, count, threshold),
            first_at=events[0].at, last_at=event.at, evidence=evidence(events), services=services(events),
            counts={"requests": len(events), "paths": len(distinct(events, lambda e: e.path))},
            sentence=f"{count} {what} from {event.source} within {seconds:.0f} s.",
        )  # fmt: skip


RULE = Rule(
    id="scanner",
    title="Scanner",
    explanation="One address asks for many paths that do not exist, is rejected again and again, or sends what"
    " looks like SQL injection, scripts, path traversal or commands.",
    reference="MITRE ATT&CK T1595.002, OWASP OAT-014",
    kinds=frozenset({Kind.REFUSED, Kind.SUSPICIOUS}),
    thresholds=(
        Threshold("refused", 14, 2, 10_000, "requests", "Requests answered with 4xx."),
        Threshold("refused_seconds", 90, 10, 3600, "s", "Window for rejected requests."),
        Threshold("missing", 10, 2, 10_000, "paths", "Different paths answered with 404."),
        Threshold("missing_seconds", 120, 10, 3600, "s", "Window for missing paths."),
        Threshold("attacks", 8, 1, 10_000, "requests", "Requests that look like attacks."),
        Threshold("attacks_seconds", 120, 10, 3600, "s", "Window for attack patterns."),
    ),
    make=Scanner,
)
