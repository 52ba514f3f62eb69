"""Alert episodes to shade on a chart: those a panel's matchers pick, overlapping its time range."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

from django.urls import NoReverseMatch

from alerts.models import Alert, State
from portal.core.matchers import Matcher, MatcherError, all_match, parse

MAX_EPISODES = 200
# What a regular expression may look through in one request; newest first.
MAX_SEARCHED = 20_000
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
    """Return the matchers that can be read; a form refuses the others before they are stored."""
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
    if not matchers:
        return ()
    first, last = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
    # Labels that must be equal are looked up in the database, the rest is judged here.
    labels = {m.name: m.value for m in matchers if m.operator == "=" and m.value}
    rows = Alert.objects.filter(starts_at__lte=last).only(
        "id", "alertname", "severity", "state", "labels", "starts_at", "ends_at"
    )
    if "alertname" in labels:
        rows = rows.filter(alertname=labels["alertname"])
    if labels:
        rows = rows.filter(labels__contains=labels)
    still_open = rows.open().order_by("-starts_at")[:MAX_SEARCHED]
    closed = rows.filter(state=State.RESOLVED, ends_at__gte=first).order_by("-ends_at")
    found = []
    for alert in chain(still_open.iterator(), closed[:MAX_SEARCHED].iterator()):
        if all_match(matchers, alert.labels):
            found.append(_episode(alert))
            if len(found) >= MAX_EPISODES:
                break
    return tuple(sorted(found, key=lambda episode: (episode.start, episode.id)))


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
