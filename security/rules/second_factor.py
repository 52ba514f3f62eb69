"""Detects guessing of the second factor, where the password is already known."""

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

EVERYWHERE = "everywhere"


class SecondFactor:
    def __init__(self, thresholds: Thresholds, _shared: SharedState) -> None:
        self._per_account, self._seconds = thresholds["failures"], thresholds["minutes"] * 60
        self._overall = thresholds["overall"]
        self._accounts = Windows(self._seconds)
        self._all = Windows(thresholds["overall_minutes"] * 60)

    def feed(self, event: Event) -> Finding | None:
        """Return a finding for an account, else for the address with the most failures over all accounts."""
        overall = self._all.add(EVERYWHERE, event)
        events = self._accounts.add(event.account, event)
        if event.is_known_account and len(events) >= self._per_account:
            return Finding(
                rule=RULE.id, subject_kind="account", subject=event.account.removeprefix("user:"),
                name=event.name, score=score(70, len(events), self._per_account), first_at=events[0].at,
                last_at=event.at, evidence=evidence(events), services=services(events),
                counts={"failures": len(events), "addresses": len(distinct(events, lambda e: e.source))},
                sentence=f"{len(events)} wrong codes for {event.name} within {self._seconds / 60:g} min,"
                " each after the right password.",
            )  # fmt: skip
        sources = distinct(overall, lambda e: e.source)
        if len(overall) < self._overall or not sources:
            return None
        worst = max(sources, key=lambda source: sources[source])
        return Finding(
            rule=RULE.id, subject_kind="address", subject=worst, score=score(65, len(overall), self._overall),
            first_at=overall[0].at, last_at=event.at, evidence=evidence(overall), services=services(overall),
            counts={"failures": len(overall), "from_this_address": sources[worst]},
            sentence=f"{len(overall)} wrong codes in all; most of them from {worst}.",
        )  # fmt: skip


RULE = Rule(
    id="second_factor_guessing",
    title="Second-factor guessing",
    explanation="Wrong codes after the right password: somebody else has the password, or a clock is wrong. Change"
    " the password; if it was the owner, check the clock of the phone.",
    reference="MITRE ATT&CK T1111, T1621",
    kinds=frozenset({Kind.CODE_FAILED}),
    thresholds=(
        Threshold("failures", 5, 2, 1_000, "failures", "Wrong codes of one account."),
        Threshold("minutes", 10, 1, 1_440, "min", "Window of one account."),
        Threshold("overall", 20, 2, 10_000, "failures", "Wrong codes of all accounts."),
        Threshold("overall_minutes", 9, 1, 1_440, "min", "Window of all accounts."),
    ),
    make=SecondFactor,
    is_attack=True,
)
