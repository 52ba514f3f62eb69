"""Detects password guessing: many failures from one address, or slowly many on one account."""

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

# The rate limit records only the first refusal of a window; there may have been more.
LIMITED_WEIGHT = 3


def _weight(event: Event) -> int:
    return LIMITED_WEIGHT if event.kind is Kind.LOGIN_LIMITED else 1


class ByAddress:
    def __init__(self, thresholds: Thresholds, _shared: SharedState) -> None:
        self._limits = (
            (Windows(thresholds["burst_seconds"]), thresholds["burst"], thresholds["burst_seconds"]),
            (Windows(thresholds["slow_seconds"]), thresholds["slow"], thresholds["slow_seconds"]),
        )  # fmt: skip

    def feed(self, event: Event) -> Finding | None:
        """Return a finding when the address exceeds the threshold of either window."""
        if not event.source:
            return None
        found = None
        for windows, threshold, seconds in self._limits:
            events = windows.add(event.source, event)
            count = len(events)
            if count * LIMITED_WEIGHT >= threshold:
                count = sum(map(_weight, events))
            if found is None and count >= threshold:
                found = Finding(
                    rule=BY_ADDRESS.id, subject_kind="address", subject=event.source,
                    score=score(60, count, threshold), first_at=events[0].at, last_at=event.at,
                    counts={"failures": count, "accounts": len(distinct(events, lambda e: e.account))},
                    evidence=evidence(events), services=services(events),
                    sentence=f"{count} failed sign-ins from {event.source} within {seconds:g} s.",
                )  # fmt: skip
        return found


class ByAccount:
    def __init__(self, thresholds: Thresholds, _shared: SharedState) -> None:
        self._threshold, self._hours = thresholds["failures"], thresholds["hours"]
        self._windows = Windows(self._hours * 3600)

    def feed(self, event: Event) -> Finding | None:
        """Return a finding when sign-in to an existing account has failed too often, from any address."""
        if not event.is_known_account:
            return None
        events = self._windows.add(event.account, event)
        if len(events) < self._threshold:
            return None
        addresses = len(distinct(events, lambda e: e.source))
        return Finding(
            rule=BY_ACCOUNT.id, subject_kind="account", subject=event.account.removeprefix("user:"),
            name=event.name, score=score(45, len(events), self._threshold), first_at=events[0].at,
            last_at=event.at, counts={"failures": len(events), "addresses": addresses},
            evidence=evidence(events), services=services(events),
            sentence=f"{len(events)} failed sign-ins to {event.name} within {self._hours:g} h,"
            f" from {addresses} addresses.",
        )  # fmt: skip


BY_ADDRESS = Rule(
    id="brute_force_address",
    title="Brute force from an address",
    explanation="One address fails to sign in again and again. A rejection by the rate limit counts as"
    " three failures, because only the first in a time window is recorded. IPv6 addresses count by /64.",
    reference="MITRE ATT&CK T1110.001",
    kinds=frozenset({Kind.LOGIN_FAILED, Kind.LOGIN_LIMITED}),
    thresholds=(
        Threshold("burst", 8, 2, 10_000, "failures", "Failures in the short window."),
        Threshold("burst_seconds", 120, 10, 3600, "s", "Length of the short window."),
        Threshold("slow", 20, 2, 10_000, "failures", "Failures in the long window."),
        Threshold("slow_seconds", 3600, 60, 86_400, "s", "Length of the long window."),
    ),
    make=ByAddress,
    is_attack=True,
)
BY_ACCOUNT = Rule(
    id="brute_force_account",
    title="Slow brute force on an account",
    explanation="One account fails to sign in many times within a day, from any number of addresses.",
    reference="MITRE ATT&CK T1110.001",
    kinds=frozenset({Kind.LOGIN_FAILED}),
    thresholds=(
        Threshold("failures", 10, 2, 10_000, "failures", "Failures of one account."),
        Threshold("hours", 24, 1, 72, "h", "Length of the window."),
    ),
    make=ByAccount,
    is_attack=True,
)
