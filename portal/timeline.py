"""Merges the events of all apps into one timeline, with one query per stream."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from alerts import timeline as alerts
from audit import timeline as audit
from monitoring import timeline as monitoring
from portal.core.timeline import Cursor, Event, Provider, Slice, merged
from security import timeline as security


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of events: the kind it belongs to, and what an account or token needs in order to see it.

    `asks_owner`: a token sees it only if its owner has the permission, as in the list of these rows.
    """

    kind: str
    provider: Provider
    permission: str
    scope: str = "read"
    asks_owner: bool = False


STREAMS: dict[str, Stream] = {
    alerts.FIRED: Stream("alert", alerts.fired, "alerts.view_alert"),
    alerts.RESOLVED: Stream("alert", alerts.resolved, "alerts.view_alert"),
    alerts.SILENCED: Stream("silence", alerts.silenced, "alerts.view_silence"),
    monitoring.FLIPPED: Stream("status", monitoring.flipped, "core.view_service"),
    monitoring.DEPLOYED: Stream("deploy", monitoring.deployed, "monitoring.view_deploy"),
    monitoring.ERROR: Stream("error", monitoring.errors, "monitoring.view_errorissue"),
    security.FLAGGED: Stream("flag", security.flagged, "security.view_flag", asks_owner=True),
    audit.ACTED: Stream("audit", audit.acted, "audit.view_auditentry", "audit:read"),
}
KINDS: dict[str, str] = {
    "alert": "Alerts",
    "silence": "Silences",
    "status": "Status",
    "deploy": "Deploys",
    "error": "Errors",
    "flag": "Flags",
    "audit": "Actions",
}
Allowed = Callable[[Stream], bool]


@dataclass(frozen=True, slots=True)
class Page:
    """Events, newest first; `next` is the cursor to older ones, None at the end."""

    events: list[Event]
    next: Cursor | None
    hidden: tuple[str, ...] = ()


def page(wanted: Slice, *, kinds: Collection[str] = (), allowed: Allowed) -> Page:
    """Return a page of the requested kinds (by default all) that the caller may see."""
    asked = {name: s for name, s in STREAMS.items() if not kinds or s.kind in kinds}
    seen = {name: stream for name, stream in asked.items() if allowed(stream)}
    hidden = {stream.kind for name, stream in asked.items() if name not in seen}
    one_more = replace(wanted, limit=wanted.limit + 1)
    found = merged((stream.provider(one_more) for stream in seen.values()), one_more.limit)
    events = found[: wanted.limit]
    more = len(found) > wanted.limit
    cursor = Cursor(*events[-1].position) if more else None
    return Page(events, cursor, tuple(kind for kind in KINDS if kind in hidden))


def every(wanted: Slice, *, kinds: Collection[str], allowed: Allowed) -> Iterator[Event]:
    """Yield all events of a slice, read page by page."""
    while True:
        found = page(wanted, kinds=kinds, allowed=allowed)
        yield from found.events
        if found.next is None:
            return
        wanted = replace(wanted, before=found.next)
