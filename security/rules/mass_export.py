"""Detects an account that exports a lot of data."""

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
from security.rules.windows import Windows


class MassExport:
    def __init__(self, thresholds: Thresholds, _shared: SharedState) -> None:
        self._exports, self._rows = thresholds["exports"], thresholds["rows"]
        self._minutes = thresholds["minutes"]
        self._windows = Windows(self._minutes * 60)

    def feed(self, event: Event) -> Finding | None:
        """Return a finding when an account exports too often, or too many rows, within the window."""
        if not event.account:
            return None
        events = self._windows.add(event.account, event)
        rows = round(sum(e.number for e in events))
        if len(events) < self._exports and rows < self._rows:
            return None
        excess = max(len(events) / self._exports, rows / self._rows)
        return Finding(
            rule=RULE.id, subject_kind="account", subject=event.account.removeprefix("user:"), name=event.name,
            score=score(55, excess, 1), first_at=events[0].at, last_at=event.at, evidence=evidence(events),
            services=services(events),
            counts={"exports": len(events), "rows": rows},
            sentence=f"{event.name} made {len(events)} exports within {self._minutes:g} min"
            + (f", {rows} rows." if rows else "."),
        )  # fmt: skip


RULE = Rule(
    id="mass_export",
    title="Mass export",
    explanation="One account exports many lists, or very many rows, in a short time. Raise the threshold when a"
    " scheduled report needs it.",
    reference="MITRE ATT&CK T1213, T1567",
    kinds=frozenset({Kind.EXPORTED}),
    thresholds=(
        Threshold("exports", 10, 2, 10_000, "exports", "Exports by one account."),
        Threshold(
            "rows",
            500_000,
            100,
            1_000_000_000,
            "rows",
            "Rows exported by one account, where known.",
        ),
        Threshold("minutes", 60, 1, 1_440, "min", "Length of the window."),
    ),
    make=MassExport,
)
