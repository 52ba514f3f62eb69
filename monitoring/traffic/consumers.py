"""Defines which metrics identify consumers (pure): the portal's own, and metrics by route with such a label.

The label takes the place of the route, so that the same queries and rows can be used.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from monitoring.traffic.profiles import Profile
from monitoring.traffic.rows import Key, RouteRow

METRIC = "portal_api_request_seconds"  # of portal.core.consumers
OWN = Profile(
    title="the portal's API",
    count=f"{METRIC}_count",
    bucket=f"{METRIC}_bucket",
    service="job",
    route="consumer",
    method="",
    errors='status="5xx"',
    present=f"{METRIC}_count",
)


def candidates(families: Iterable[Profile], labels: Sequence[str]) -> list[Profile]:
    """Return the portal's own metric, and each family once for every label that may name a consumer."""
    return [OWN, *(_by(family, label) for label in labels for family in families)]


def _by(family: Profile, label: str) -> Profile:
    where = ",".join(part for part in (family.where, f'{label}!=""') if part)
    named = replace(family, title=f"{family.title}, label {label}", route=label, method="", where=where)  # fmt: skip
    return replace(named, present=named.series(named.count))


def added(rows: dict[Key, RouteRow], more: dict[Key, RouteRow]) -> dict[Key, RouteRow]:
    """Return `rows` plus those of services that had none, because only one label may name a service's consumers."""
    covered = {service for service, _consumer, _method in rows}
    return rows | {key: row for key, row in more.items() if key[0] not in covered}
