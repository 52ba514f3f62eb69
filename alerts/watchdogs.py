"""Handles watchdogs, alerts that always fire: while one is missing, its Prometheus may be down.

The absence of other alerts then proves nothing. The option `watchdogs` of an upstream lists the watchdogs,
each with the alerts that it covers.
"""

from collections.abc import Iterator, Mapping

from alerts.payloads import ListedAlert
from alerts.reconcile import Covered, nothing_covered
from portal.core.matchers import Matcher, all_match, parse
from portal.core.models import Upstream

Matchers = tuple[Matcher, ...]


def _entries(upstream: Upstream) -> Iterator[tuple[Matchers, Matchers]]:
    """Yield the matchers of each watchdog, and of the alerts that it covers (all, if there are none)."""
    for entry in upstream.option("watchdogs", []):
        covers = tuple(parse(written) for written in entry.get("covers", []))
        yield tuple(parse(written) for written in entry["watchdog"]), covers


def unproven(upstream: Upstream, seen: Mapping[str, ListedAlert]) -> Covered:
    """Return a test for alerts whose absence proves nothing, because their watchdog is missing."""
    return _any_of(
        [
            covers
            for watchdog, covers in _entries(upstream)
            if not any(all_match(watchdog, alert.labels) for alert in seen.values())
        ]
    )


def watched(upstream: Upstream) -> Covered:
    """Return a test for alerts that a watchdog covers, whether or not it is firing."""
    return _any_of([covers for _watchdog, covers in _entries(upstream)])


def _any_of(scopes: list[Matchers]) -> Covered:
    if not scopes:
        return nothing_covered
    return lambda labels: any(not scope or all_match(scope, labels) for scope in scopes)
