"""What a Prometheus says of our rules (pure): which are loaded, how they are, and what changed."""

from collections.abc import Iterable
from dataclasses import dataclass

from monitoring.payloads import AlertingRule

# The worst of several rules of one name is shown.
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
    """Return the rules whose state differs from what is stored, found by name and severity."""
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
