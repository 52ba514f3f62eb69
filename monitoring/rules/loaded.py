"""Finds out which of our rules a Prometheus has loaded, their state, and what has changed (pure)."""

from collections.abc import Iterable
from dataclasses import dataclass

from monitoring.payloads import AlertingRule

# Of several rules with one name, the worst state is shown.
ORDER = ("", "inactive", "pending", "firing", "broken")


@dataclass(frozen=True, slots=True)
class Known:
    id: int
    name: str
    severity: str
    state: str
    error: str


@dataclass(frozen=True, slots=True)
class Change:
    id: int
    state: str
    error: str


def changes(known: Iterable[Known], seen: Iterable[AlertingRule]) -> list[Change]:
    """Return the rules whose state differs from the stored one; they are matched by name and severity."""
    said: dict[tuple[str, str], tuple[str, str]] = {}
    for rule in seen:
        key = rule.name, rule.labels.get("severity", "")
        state = "broken" if rule.health == "err" else rule.state
        if state in ORDER and ORDER.index(state) >= ORDER.index(said.get(key, ("", ""))[0]):
            said[key] = state, rule.lastError[:1000] if state == "broken" else ""
    found = []
    for row in known:
        state, error = said.get((row.name, row.severity), ("", ""))
        if (state, error) != (row.state, row.error):
            found.append(Change(row.id, state, error))
    return found
