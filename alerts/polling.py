"""Polls an Alertmanager cluster: fetch from every member, plan, apply in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.utils import timezone

from alerts import ends, episodes, payloads, rows, silences, watchdogs
from alerts.alertmanager import Alertmanager
from alerts.cluster import union
from alerts.models import Source
from alerts.payloads import ListedAlert, ListedSilence
from alerts.plans import Plan, Server
from alerts.reconcile import nothing_covered, plan, state_of
from portal.core import polling, wording
from portal.core.catalogue import Catalogue
from portal.core.http import Fault, UpstreamError, not_json
from portal.core.models import Upstream
from portal.core.polling import Report, streak_since

# How recently an episode must have been closed to matter for an alert that is listed as new.
RECENTLY = timedelta(seconds=60)
# A Date header has whole seconds, so two measurements of the same skew may differ by one, and by their rounding.
SKEW_JITTER_SECONDS = 1.5


@dataclass
class Fetched:
    """The answers of all members that answered, merged."""

    began_at: datetime
    alerts: dict[str, ListedAlert] = field(default_factory=dict)
    silences: dict[str, ListedSilence] = field(default_factory=dict)
    started_at: datetime | None = None
    skews: list[float] = field(default_factory=list)  # of the members that send a Date header
    version: str = ""
    peers: str = ""
    bad: int = 0
    bad_silences: int = 0  # say nothing of the alerts
    failures: list[UpstreamError] = field(default_factory=list)
    failed_members: list[str] = field(default_factory=list)

    @property
    def skew_seconds(self) -> float | None:
        """The cluster's clock minus ours, by the member whose clock is least off."""
        return min(self.skews, key=abs, default=None)


def poll(upstream: Upstream) -> Report:
    """Update the stored episodes and silences to what the cluster lists now.

    Raises UpstreamError when no member answers, in which case nothing is changed.
    """
    hold = partial(polling.hold, upstream)
    fetched = fetch(upstream, before_each=hold)
    hold()
    skew_seconds = steady_skew(fetched.skew_seconds, upstream.clock_skew_seconds)
    skew = timedelta(seconds=skew_seconds or 0)
    now = timezone.now() + skew
    decided = _reconcile(upstream, fetched, now)
    silenced = silences.mirror(
        upstream,
        fetched.silences,
        complete=not (fetched.failures or fetched.bad_silences),
        asked_at=fetched.began_at + skew,
        at=now,
    )
    ends.remember(upstream, fetched.alerts.values())
    observed = {
        "version": fetched.version,
        "started_at": fetched.started_at.isoformat() if fetched.started_at else None,
        "cluster": fetched.peers,
        "alerts": len(fetched.alerts),
        "silences": len(fetched.silences),
    }
    return Report(
        summary=f"{decided}" + (f"; {silenced} silences changed" if silenced else ""),
        skew_seconds=skew_seconds,
        warning=_warning(fetched),
        settling=decided.settling,
        observed=observed,
    )


def steady_skew(measured: float | None, known: float | None) -> float | None:
    """Return the skew to go by, in seconds: the known one while the measured one only jitters about it.

    Otherwise the server's clock would seem to go backwards from one poll to the next.
    """
    if measured is None or known is None or abs(measured - known) > SKEW_JITTER_SECONDS:
        return measured
    return known


def fetch(upstream: Upstream, *, before_each: Callable[[], None] = lambda: None) -> Fetched:
    """Fetch from every member; record those that fail. If all fail, raise the first error.

    `before_each` is called before each request.
    """
    fetched = Fetched(began_at=timezone.now())
    lists = []
    for member in upstream.members:
        try:
            lists.append(_ask(upstream, member, fetched, before_each))
        except UpstreamError as error:
            fetched.failures.append(error)
            fetched.failed_members.append(member)
    if not lists:
        raise fetched.failures[0]
    fetched.alerts = union(lists)
    return fetched


def _ask(
    upstream: Upstream, member: str, fetched: Fetched, before_each: Callable[[], None]
) -> list[ListedAlert]:
    """Return the alerts of one member, and add its status and silences to `fetched`."""
    with Alertmanager(upstream, member) as client:
        replies = []
        for ask in (client.status, client.alerts, client.silences):
            before_each()
            replies.append(ask())
    try:
        status = payloads.server_status(replies[0].body)
        alerts, bad_alerts = payloads.listed_alerts(replies[1].body)
        listed, bad_silences = payloads.listed_silences(replies[2].body)
    except payloads.PayloadError as error:
        for page in (reply for reply in replies if reply.body.lstrip().startswith(b"<")):
            raise not_json(page) from error
        raise UpstreamError(
            Fault.MALFORMED, f"{member} does not answer like an Alertmanager. {error}"
        ) from error
    started_at = payloads.instant(status.uptime)
    if started_at is not None:
        fetched.started_at = max(fetched.started_at or started_at, started_at)
    if replies[0].skew_seconds is not None:
        fetched.skews.append(replies[0].skew_seconds)
    fetched.version, fetched.peers = status.versionInfo.version[:50], status.cluster.status[:50]
    fetched.bad += bad_alerts
    fetched.bad_silences += bad_silences
    fetched.silences |= {silence.id: silence for silence in listed}
    return alerts


def _reconcile(upstream: Upstream, fetched: Fetched, now: datetime) -> Plan:
    """Plan without a lock; only if something changed, plan again with the lock and apply."""
    known = episodes.load_known(upstream.pk)
    server = _server(upstream, fetched)
    before = ends.recall(upstream) if known.keys() - fetched.alerts.keys() else {}
    covered = watchdogs.unproven(upstream, fetched.alerts)
    decided = plan(known, fetched.alerts, server=server, now=now, memory=before)
    if decided.is_empty:
        return decided
    with transaction.atomic():
        Upstream.objects.select_for_update().only("pk").get(pk=upstream.pk)
        known = episodes.load_known(upstream.pk, with_labels=covered is not nothing_covered)
        strangers = fetched.alerts.keys() - known.keys()
        since = fetched.began_at - RECENTLY
        decided = plan(
            known,
            fetched.alerts,
            server=server,
            now=now,
            memory=before,
            closed=episodes.load_closed(upstream.pk, list(strangers), since=since)
            if strangers
            else {},
            local_fetch_began=fetched.began_at,
            covered=covered,
        )
        _apply(upstream, decided, now)
    return decided


def _server(upstream: Upstream, fetched: Fetched) -> Server:
    skew = timedelta(seconds=upstream.clock_skew_seconds or 0)
    return Server(
        started_at=fetched.started_at,
        members=len(upstream.members),
        members_failed=len(fetched.failures),
        unreadable=fetched.bad,
        streak_since=streak_since(upstream, at=timezone.now()) + skew,
        previous_success=upstream.succeeded_at + skew if upstream.succeeded_at else None,
        settling_since=upstream.settling_since,
    )


def _apply(upstream: Upstream, decided: Plan, now: datetime) -> None:
    """Write a plan. Closing comes first, because only one episode of a fingerprint may be open."""
    at = timezone.now()
    catalogue = Catalogue.load() if decided.opened or decided.changed or decided.reopened else None
    episodes.close(decided.resolved, source=Source.POLL, at=at)
    episodes.mark_missing(decided.missing, at=now)
    episodes.mark_returned([episode.id for episode in decided.returned])
    if catalogue is None:
        return
    new = [rows.of_listed(alert, catalogue) for alert in decided.opened]
    episodes.insert(upstream.pk, new, source=Source.POLL, at=at)
    listed = [(change.known.id, change.alert) for change in decided.changed]
    listed += [(closed.id, alert) for closed, alert in decided.reopened]
    episodes.update(
        [rows.of_listed(alert, catalogue, episode_id=number) for number, alert in listed]
    )
    steps = [
        episodes.Step(change.known.id, kind, now)
        for change in decided.changed
        if (kind := episodes.step_of_state(change.known.state, state_of(change.alert)))
    ]
    steps += [episodes.Step(closed.id, "reopened", now) for closed, _alert in decided.reopened]
    if steps:
        episodes.add_steps(steps, source=Source.POLL, at=at)


def _warning(fetched: Fetched) -> str:
    """Return what staff should know even though the poll succeeded."""
    failed = zip(fetched.failed_members, fetched.failures, strict=True)
    said = [f"{member} does not answer: {error}" for member, error in failed]
    if bad := fetched.bad + fetched.bad_silences:
        said.append(f"{bad} items could not be read and were left out; the others were processed.")
    worst = max(fetched.skews, key=abs, default=0.0)
    whose = "Its clock" if len(fetched.skews) == 1 else "The clock of a member"
    return " ".join(filter(None, [*said, wording.skewed(worst, whose=whose)]))
