"""Provides the events of security to the timeline: flags that were opened."""

from collections.abc import Iterator, Sequence

from portal.core.timeline import Event, Slice
from security.flags import ALERT_SCORE
from security.models import Flag, FlagService

FLAGGED = "flag.opened"


def flagged(wanted: Slice) -> Sequence[Event]:
    """Return flags; for one service, those whose evidence names it."""
    return [_event(flag, slugs) for flag, slugs in _flags(wanted)]


def _flags(wanted: Slice) -> Iterator[tuple[Flag, list[str]]]:
    """Yield flags, each with the slugs of its services (if one service is requested, only that)."""
    if wanted.service:
        named = FlagService.objects.filter(slug=wanted.service.slug).select_related("flag")
        for row in wanted.take(named, FLAGGED, at="opened_at", key="flag_id"):
            yield row.flag, [row.slug]
        return
    for flag in wanted.take(Flag.objects.with_services(), FLAGGED, at="opened_at"):
        yield flag, flag.service_slugs


def _event(flag: Flag, slugs: list[str]) -> Event:
    """Return the event of a flag; an event has one service, so further ones are named in its detail."""
    others = f" It concerns {', '.join(slugs)}."[:300] if len(slugs) > 1 else ""
    return Event(
        FLAGGED, flag.pk, flag.opened_at, f"Flag: {flag}"[:300], flag.sentence + others,
        tone="bad" if flag.score >= ALERT_SCORE else "warn", service=slugs[0] if slugs else "",
        url=flag.get_absolute_url(),
    )  # fmt: skip
