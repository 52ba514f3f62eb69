"""Plans the changes to stored episodes that follow from one poll of an Alertmanager (pure).

`plan(known, seen, …)` makes the decisions; nothing is read or written here. All times are by the
upstream's clock, unless a name contains `local`. The rules are in ARCHITECTURE.md, "Alert life cycle".
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from alerts.memory import Memory, latest_end
from alerts.payloads import ListedAlert, content_hash, moment_of
from alerts.plans import Absence, Change, Closed, Known, Plan, Resolution, Server

# After a restart, an Alertmanager has no alerts until its Prometheus servers resend them.
SETTLING = timedelta(minutes=4)
MASS_DROP_OF_AT_LEAST = 20
REOPEN_WITHIN = timedelta(seconds=60)


Covered = Callable[[Mapping[str, str]], bool]


def nothing_covered(_labels: Mapping[str, str]) -> bool:
    return False


def everything_covered(_labels: Mapping[str, str]) -> bool:
    return True


def state_of(alert: ListedAlert) -> str:
    return "suppressed" if alert.status.state == "suppressed" else "firing"


def blindness(server: Server, *, now: datetime) -> str:
    """Return why the list of this poll may be incomplete; empty when it can be trusted."""
    if server.members_failed:
        return f"{server.members_failed} of {server.members} members of the cluster do not answer"
    if server.unreadable:
        return f"{server.unreadable} items in the list could not be read"
    if server.started_at is not None and timedelta(0) <= now - server.started_at < SETTLING:
        seconds = int((now - server.started_at).total_seconds())
        return (
            f"Alertmanager started {seconds} s ago and receives its alerts again within 4 minutes"
        )
    return ""


def mass_drop(known: Mapping[str, Known], newly_missing: int) -> str:
    """Return a reason when more than half of at least 20 alerts disappear in one poll."""
    visible = sum(1 for episode in known.values() if episode.missing_since is None)
    if visible >= MASS_DROP_OF_AT_LEAST and newly_missing * 2 > visible:
        return f"{newly_missing} of {visible} alerts disappeared in one poll; this counts only after 4 minutes"
    return ""


def is_over(
    episode: Known, *, now: datetime, settling: bool, streak_since: datetime | None
) -> bool:
    """True when an absent episode may be closed: absent in two polls, and its endsAt has passed.

    While the upstream is settling, it must have been absent for 4 minutes of successful polls.
    """
    if episode.missing_since is None or episode.missing_since >= now:
        return False
    if episode.expires_at is not None and episode.expires_at > now:
        return False
    if not settling:
        return True
    return now - max(episode.missing_since, streak_since or episode.missing_since) >= SETTLING


def plan(
    known: Mapping[str, Known],
    seen: Mapping[str, ListedAlert],
    *,
    server: Server,
    now: datetime,
    memory: Memory | None = None,
    closed: Mapping[str, Closed] | None = None,
    local_fetch_began: datetime | None = None,
    covered: Covered = nothing_covered,
) -> Plan:
    """Return what this poll changes.

    `memory` holds the last endsAt of each alert at the previous poll; `closed` the last closed
    episodes of fingerprints that are seen but not known. `covered(labels)` says whether the
    watchdog of the Prometheus behind an alert is missing, so that its absence proves nothing.
    """
    opened, reopened, changed, returned = _listed(
        known, seen, server, closed or {}, local_fetch_began
    )
    replaced = tuple(
        _replaced(change, server) for change in changed if _is_new_episode(change, server)
    )
    resolved_ids = {resolution.id for resolution in replaced}
    opened += [change.alert for change in changed if change.known.id in resolved_ids]

    absent = [episode for fingerprint, episode in known.items() if fingerprint not in seen]
    fresh = [episode for episode in absent if episode.missing_since is None]
    blind = blindness(server, now=now)
    doubt = blind or mass_drop(known, len(fresh))
    unproven = everything_covered if blind else covered
    over, settling = _ended(absent, server, doubt, now=now, covered=unproven)
    return Plan(
        seen=len(seen),
        opened=tuple(opened),
        reopened=tuple(reopened),
        changed=tuple(change for change in changed if change.known.id not in resolved_ids),
        returned=tuple(returned),
        missing=tuple(_absence(episode, server, memory or {}) for episode in fresh),
        resolved=replaced + tuple(_resolution(episode) for episode in over),
        held=len(absent) - len(over),
        settling=settling,
    )


def _ended(
    absent: Sequence[Known], server: Server, doubt: str, *, now: datetime, covered: Covered
) -> tuple[list[Known], str]:
    """Return the absent episodes that are over, and why others are not closed yet."""
    settling = bool(doubt) or server.settling_since is not None
    over = [
        episode
        for episode in absent
        if is_over(episode, now=now, settling=settling, streak_since=server.streak_since)
        and not covered(episode.labels)
    ]
    held = len(absent) - len(over)
    if settling and not doubt and held:
        doubt = f"the absence of {held} alerts counts only after 4 minutes of successful polls"
    return over, doubt


def _listed(
    known: Mapping[str, Known],
    seen: Mapping[str, ListedAlert],
    server: Server,
    closed: Mapping[str, Closed],
    local_fetch_began: datetime | None,
) -> tuple[list[ListedAlert], list[tuple[Closed, ListedAlert]], list[Change], list[Known]]:
    """Classify the listed alerts as opened, reopened, changed or returned; the others are unchanged."""
    opened: list[ListedAlert] = []
    reopened: list[tuple[Closed, ListedAlert]] = []
    changed: list[Change] = []
    returned: list[Known] = []
    for fingerprint, alert in seen.items():
        episode = known.get(fingerprint)
        if episode is None:
            last = closed.get(fingerprint)
            if last is not None and last.by_poll and _is_recent(last, local_fetch_began):
                reopened.append((last, alert))
            elif last is None or not _overtook(last, local_fetch_began):
                opened.append(alert)
        elif episode.content_hash != content_hash(alert):
            changed.append(Change(episode, alert))
        elif episode.missing_since is not None:
            returned.append(episode)
    return opened, reopened, changed, returned


def _is_recent(last: Closed, local_fetch_began: datetime | None) -> bool:
    return local_fetch_began is None or last.local_closed_at >= local_fetch_began - REOPEN_WITHIN


def _overtook(last: Closed, local_fetch_began: datetime | None) -> bool:
    """True when a webhook closed the episode while this list was being fetched."""
    return local_fetch_began is not None and last.local_closed_at >= local_fetch_began


def _is_new_episode(change: Change, server: Server) -> bool:
    """True when the alert began well after it was last seen, so the previous episode ended between polls."""
    starts_at = moment_of(change.alert.startsAt)
    last_seen = change.known.last_listed_at or server.previous_success
    return (
        last_seen is not None
        and starts_at > change.known.starts_at
        and starts_at > last_seen + REOPEN_WITHIN
    )


def _replaced(change: Change, server: Server) -> Resolution:
    after = change.known.last_listed_at or server.previous_success or change.known.starts_at
    return Resolution(change.known.id, after, moment_of(change.alert.startsAt))


def _absence(episode: Known, server: Server, memory: Memory) -> Absence:
    last_seen = max(server.previous_success or episode.starts_at, episode.starts_at)
    end = latest_end(
        memory.get(episode.fingerprint),
        expires_at=episode.expires_at,
        refreshed_at=episode.refreshed_at,
        last_seen=last_seen,
    )
    return Absence(episode.id, last_seen, end)


def _resolution(episode: Known) -> Resolution:
    before = episode.missing_since
    if before is None:
        raise ValueError("only an absent episode can be over")
    return Resolution(episode.id, min(episode.last_listed_at or episode.starts_at, before), before)
