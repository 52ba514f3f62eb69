"""Detects a sign-in that succeeds after an attack: a guess may have been right."""

from dataclasses import replace

from security.rules.events import Event, Kind
from security.rules.finding import (
    EVIDENCE_LIMIT,
    Finding,
    Rule,
    SharedState,
    Threshold,
    Thresholds,
    services,
)
from security.rules.windows import Windows


class SuccessAfter:
    def __init__(self, thresholds: Thresholds, shared: SharedState) -> None:
        self._hours, self._failures = thresholds["hours"], thresholds["failures"]
        self._pairs = Windows(self._hours * 3600)
        self._shared = shared

    def feed(self, event: Event) -> Finding | None:
        """Record failures by address and account; assess a success by the failures and attacks before it."""
        pair = (event.source, event.account)
        if event.kind is Kind.LOGIN_FAILED:
            self._pairs.add(pair, event)
            return None
        failed = tuple(self._pairs.get(pair, at=event.at))
        self._pairs.drop(pair)
        attack = self._attack_before(event)
        if attack is not None:
            attempt = f"{attack.rule.replace('_', ' ')} of which a flag is open"
            found = self._finding(event, attack.evidence, 90, attack.first_at, attempt)
            return replace(found, services=attack.services)
        if len(failed) >= self._failures:
            ids = tuple(e.id for e in failed)
            found = self._finding(event, ids, 55, failed[0].at, f"{len(failed)} failures")
            return replace(found, services=services(failed))
        return None

    def _attack_before(self, event: Event) -> Finding | None:
        account = event.account.removeprefix("user:")
        for key in (("address", event.source), ("account", account)):
            attack = self._shared.attacks.get(key)
            if attack is not None and event.at - attack.last_at <= self._hours * 3600:
                return attack
        return None

    @staticmethod
    def _finding(
        event: Event, ids: tuple[int, ...], points: int, since: float, what: str
    ) -> Finding:
        return Finding(
            rule=RULE.id, subject_kind="account", subject=event.account.removeprefix("user:"), name=event.name,
            score=points, first_at=since, last_at=event.at, counts={"failures_before": len(ids), "successes": 1},
            evidence=(*ids[-(EVIDENCE_LIMIT - 1) :], event.id),
            sentence=f"{event.name or event.account} signed in from {event.address} after {what}.",
        )  # fmt: skip


RULE = Rule(
    id="success_after_attack",
    title="Success after an attack",
    explanation="Somebody signed in from an address, or to an account, that was under attack shortly before; or after"
    " many failures of the same account from the same address. Ask the owner of the account whether it was them.",
    reference="MITRE ATT&CK T1078",
    kinds=frozenset({Kind.LOGIN_FAILED, Kind.LOGIN_SUCCEEDED}),
    thresholds=(
        Threshold("hours", 6, 1, 72, "h", "How long after an attack a success is suspicious."),
        Threshold(
            "failures",
            5,
            1,
            1_000,
            "failures",
            "Failures of this account and address that suffice without an attack.",
        ),
    ),
    make=SuccessAfter,
)
