"""Detects a token that is used from somewhere new: it may have leaked."""

from security.rules.events import Event, Kind
from security.rules.finding import (
    Finding,
    Rule,
    SharedState,
    Threshold,
    Thresholds,
    evidence,
    services,
)
from security.rules.windows import Windows, distinct

SCORES = {"network": 50, "client": 45, "network+client": 70}


class TokenClient:
    def __init__(self, thresholds: Thresholds, _shared: SharedState) -> None:
        self._minutes, self._least = thresholds["minutes"], thresholds["clients"]
        self._windows = Windows(thresholds["memory_hours"] * 3600)

    def feed(self, event: Event) -> Finding | None:
        """Return a finding for a new network or client; recent use from elsewhere raises its score."""
        events = self._windows.add(event.token, event)
        if len(events) < self._least:
            return None
        at_once = 0 < event.number <= self._minutes * 60
        points = SCORES.get(event.signal, 50) + (20 if at_once else 0)
        what = event.signal.replace("+", " and ")
        soon = f", {event.number:.0f} s after its use elsewhere" if at_once else ""
        return Finding(
            rule=RULE.id, subject_kind="token", subject=event.token, name=event.name, score=points,
            first_at=events[0].at, last_at=event.at, evidence=evidence(events),
            services=services(events),
            counts={"new_clients": len(events), "networks": len(distinct(events, lambda e: e.source))},
            sentence=f"Token {event.name} was used from a new {what}: {event.address}, {event.client}{soon}.",
        )  # fmt: skip


RULE = Rule(
    id="token_new_client",
    title="Token from a new network or client",
    explanation="A token is used from a network (/24, or /64 for IPv6) or by a kind of client it was never used from"
    " before. The first client of a token is taken for its owner's. Revoke it when its owner does not know the client.",
    reference="MITRE ATT&CK T1528, T1550.001",
    kinds=frozenset({Kind.TOKEN_CLIENT}),
    thresholds=(
        Threshold("clients", 1, 1, 100, "clients", "New clients before a flag is raised."),
        Threshold(
            "minutes", 10, 1, 1_440, "min", "Used elsewhere this recently: two clients at once."
        ),
        Threshold("memory_hours", 24, 1, 72, "h", "Period over which new clients are counted."),
    ),
    make=TokenClient,
)
