"""Computes figures about alerts: how often rules, services, teams and severities fire, response times, and noise.

It takes one statement over the episodes that began within a window, whatever their number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

WINDOWS: dict[str, timedelta] = {
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
DEFAULT_WINDOW, DEFAULT_GROUP = "7d", "rule"
MOST_GROUPS = 500
# An alert that starts again this soon after its end is flapping.
FLAPPING = timedelta(hours=1)

# The group that an episode is counted in; its own labels override the catalogue, as in routing.
GROUPS: dict[str, str] = {
    "rule": "a.alertname",
    "service": "coalesce(s.slug, a.labels ->> 'service', '')",
    "team": "coalesce(a.labels ->> 'team', s.team, '')",
    "severity": "a.severity",
}
_SQL = """
WITH seen AS (
    SELECT {group} AS name, a.state, a.starts_at, a.ends_at, a.acknowledged_at,
        lag(a.ends_at) OVER (PARTITION BY a.upstream_id, a.fingerprint ORDER BY a.starts_at, a.id) AS ended_before,
        coalesce(a.annotations ->> 'runbook_url', s.runbook_url, '') = '' AS has_no_runbook,
        coalesce(a.labels ->> 'team', s.team, '') = '' AS has_no_owner
    FROM alerts_alert a LEFT JOIN core_service s ON s.id = a.service_id
    WHERE a.starts_at >= %(since)s AND a.starts_at < %(until)s AND (%(service)s = '' OR s.slug = %(service)s)
)
SELECT grouping(name) = 1, name, count(*), count(*) FILTER (WHERE state <> 'resolved'),
    count(*) FILTER (WHERE state = 'resolved' AND acknowledged_at IS NULL),
    count(*) FILTER (WHERE starts_at - ended_before < %(flapping)s),
    count(*) FILTER (WHERE has_no_runbook), count(*) FILTER (WHERE has_no_owner),
    -- By two clocks: an end or an acknowledgement may lie before the beginning.
    avg(greatest(extract(epoch FROM acknowledged_at - starts_at), 0)) FILTER (WHERE acknowledged_at IS NOT NULL),
    avg(greatest(extract(epoch FROM ends_at - starts_at), 0)) FILTER (WHERE state = 'resolved'),
    max(starts_at)
FROM seen GROUP BY GROUPING SETS ((), (name))
ORDER BY grouping(name) DESC, count(*) DESC, name
"""


@dataclass(frozen=True, slots=True)
class Group:
    """The episodes of one rule, service, team or severity. Times are means in seconds, or None.

    `mtta_seconds` is the time to acknowledgement, over acknowledged episodes; `mttr_seconds` the time to
    the end, over ended ones. `flapping` counts episodes that began within an hour after the previous end.
    """

    name: str
    episodes: int
    open: int
    never_acknowledged: int
    flapping: int
    without_runbook: int
    without_owner: int
    mtta_seconds: float | None
    mttr_seconds: float | None
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class Report:
    """`groups` are those with the most episodes; `left_out` is how many more there are."""

    window: str
    group_by: str
    since: datetime
    until: datetime
    total: Group
    groups: list[Group]
    left_out: int


def report(
    *,
    at: datetime,
    window: str = DEFAULT_WINDOW,
    group_by: str = DEFAULT_GROUP,
    service: str = "",
    most: int = MOST_GROUPS,
) -> Report:
    """Return figures about the alerts of a window before `at`; of one service, if its slug is given."""
    since = at - WINDOWS[window]
    facts = {"since": since, "until": at, "service": service, "flapping": FLAPPING}
    (_, total), *groups = _rows(group_by, facts)
    found = [group for _, group in groups]
    left_out = max(len(found) - most, 0)
    return Report(window, group_by, since, at, total, found[:most], left_out)


def _rows(group_by: str, facts: dict[str, Any]) -> Iterator[tuple[bool, Group]]:
    """Yield the total, then each group, ordered by the number of episodes."""
    with connection.cursor() as cursor:
        cursor.execute(_SQL.format(group=GROUPS[group_by]), facts)
        for (
            is_total,
            name,
            episodes,
            still_open,
            unseen,
            flapping,
            bare,
            ownerless,
            mtta,
            mttr,
            last_at,
        ) in cursor:
            yield is_total, Group(
                name or "", episodes, still_open, unseen, flapping, bare, ownerless, _seconds(mtta), _seconds(mttr),
                last_at,
            )  # fmt: skip


def _seconds(value: object) -> float | None:
    return None if value is None else round(float(str(value)), 1)
