"""Detects credential stuffing: one address tries leaked passwords on many accounts, once or twice each."""

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


class Stuffing:
    def __init__(self, thresholds: Thresholds, shared: SharedState) -> None:
        self._accounts, self._each = thresholds["accounts"], thresholds["tries_each"]
        self._strange = thresholds["unfamiliar_percent"] / 100
        self._minutes = thresholds["minutes"]
        self._windows = Windows(self._minutes * 60)
        self._shared = shared

    def feed(self, event: Event) -> Finding | None:
        """Return a finding when many accounts were tried a few times each, most of them unfamiliar to the network."""
        if not event.source or not event.account:
            return None
        events = self._windows.add(event.source, event)
        if len(events) < self._accounts:
            return None
        tried = distinct(events, lambda e: e.account)
        few = {account for account, count in tried.items() if count <= self._each}
        if len(few) < self._accounts:
            return None
        strange = {
            e.account for e in events if e.account in few and not self._shared.is_familiar(e)
        }
        if len(strange) < self._strange * len(few):
            return None
        return Finding(
            rule=RULE.id, subject_kind="address", subject=event.source,
            score=score(75, len(few), self._accounts), first_at=events[0].at, last_at=event.at,
            counts={"accounts": len(few), "unfamiliar": len(strange), "failures": len(events)},
            evidence=evidence(events), services=services(events),
            sentence=f"{len(few)} accounts tried from {event.source} within {self._minutes:g} min,"
            f" at most {self._each:g} times each.",
        )  # fmt: skip


RULE = Rule(
    id="credential_stuffing",
    title="Credential stuffing",
    explanation="One address tries many accounts, each only once or twice, as with a leaked list. Accounts that"
    " have signed in from the same network before are familiar: an office behind one address is not an attack.",
    reference="MITRE ATT&CK T1110.004, OWASP OAT-008",
    kinds=frozenset({Kind.LOGIN_FAILED}),
    thresholds=(
        Threshold("accounts", 15, 2, 1_000, "accounts", "Different accounts tried."),
        Threshold("tries_each", 2, 1, 20, "tries", "Maximum number of tries per account."),
        Threshold("minutes", 15, 1, 1_440, "min", "Length of the window."),
        Threshold(
            "unfamiliar_percent", 60, 0, 100, "%", "Share of accounts unknown at that network."
        ),
    ),
    make=Stuffing,
    is_attack=True,
)
