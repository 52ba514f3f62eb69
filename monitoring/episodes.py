"""Finds the alert episodes to shade on a chart: those that match the panel and overlap its time range."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice

from django.db import connection
from django.urls import NoReverseMatch

from alerts.models import Alert, State
from portal.core.matchers import Matcher, MatcherError, all_match, parse

MAX_EPISODES = 200
# The most episodes that one request checks against regular expressions, newest first.
MAX_SEARCHED = 20_000
MAX_NAMES = 2_000
FIELDS = ("id", "alertname", "severity", "state", "starts_at", "ends_at")
# PostgreSQL has no skip scan for DISTINCT; this query reads one index entry per name, not per episode.
NAMES = """
    WITH RECURSIVE names AS (
        SELECT min(alertname) AS name FROM alerts_alert
        UNION ALL
        SELECT (SELECT min(alertname) FROM alerts_alert WHERE alertname > name) FROM names WHERE name IS NOT NULL
    )
    SELECT name FROM names WHERE name IS NOT NULL LIMIT %s
"""
# The styles of a shaded area on a chart.
SHADES = [(level, level) for level in ("critical", "warning", "other")]
LEVELS = {"critical": "critical", "page": "critical", "error": "critical", "warning": "warning"}


@dataclass(frozen=True, slots=True)
class Episode:
    """Times are Unix seconds; `end` is None while the episode is open. `level` picks the colour."""

    id: int
    alertname: str
    severity: str
    level: str
    state: str
    start: float
    end: float | None
    url: str


def parsed(written: Iterable[str]) -> list[Matcher]:
    """Return the matchers that parse; the form rejects others before they are stored."""
    found = []
    for text in written:
        try:
            found.append(parse(text))
        except MatcherError:
            continue
    return found


def episodes(written: Iterable[str], *, start: float, end: float) -> tuple[Episode, ...]:
    """Return the newest episodes that match all of `written` and overlap the Unix times, oldest first."""
    matchers = parsed(written)
    by_name = [matcher for matcher in matchers if matcher.name == "alertname"]
    others = [matcher for matcher in matchers if matcher.name != "alertname"]
    if not matchers:
        return ()
    rows = Alert.objects.filter(starts_at__lte=datetime.fromtimestamp(end, UTC)).only(
        *FIELDS, *(["labels"] if others else [])
    )
    if by_name:
        names = [name for name in _names() if all_match(by_name, {"alertname": name})]
        rows = rows.filter(alertname__in=names)
    # The database looks up labels that must be equal; the other matchers are evaluated here.
    if equal := {m.name: m.value for m in others if m.operator == "=" and m.value}:
        rows = rows.filter(labels__contains=equal)
    enough = MAX_SEARCHED if others else MAX_EPISODES
    still_open = rows.open().order_by("-starts_at")
    ended = rows.filter(state=State.RESOLVED, ends_at__gte=datetime.fromtimestamp(start, UTC))
    candidates = chain(
        still_open[:enough].iterator(), ended.order_by("-ends_at")[:enough].iterator()
    )
    matching = (alert for alert in candidates if not others or all_match(others, alert.labels))
    found = [_episode(alert) for alert in islice(matching, MAX_EPISODES)]
    return tuple(sorted(found, key=lambda episode: (episode.start, episode.id)))


def _names() -> list[str]:
    """Return the names of all alerts in the history, by skipping from one to the next in their index."""
    with connection.cursor() as cursor:
        cursor.execute(NAMES, [MAX_NAMES])
        return [row[0] for row in cursor.fetchall()]


def _episode(alert: Alert) -> Episode:
    return Episode(
        id=alert.pk,
        alertname=alert.alertname,
        severity=alert.severity,
        level=LEVELS.get(alert.severity.lower(), "other"),
        state=alert.state,
        start=alert.starts_at.timestamp(),
        end=alert.ends_at.timestamp() if alert.ends_at else None,
        url=_url(alert),
    )


def _url(alert: Alert) -> str:
    try:
        return alert.get_absolute_url()
    except NoReverseMatch:
        return ""
