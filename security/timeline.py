"""What security tells the timeline: flags that were opened."""

from collections.abc import Iterator, Sequence

from portal.core.timeline import Event, Slice
from security.models import Flag, FlagService

FLAGGED = "flag.opened"


def flagged(wanted: Slice) -> Sequence[Event]:
    """Return flags; of one service, those whose evidence names it."""
    return [_event(flag, slugs) for flag, slugs in _flags(wanted)]


def _flags(wanted: Slice) -> Iterator[tuple[Flag, list[str]]]:
    """Yield flags with the services that are said of each."""
    if wanted.service:
        named = FlagService.objects.filter(slug=wanted.service.slug).select_related("flag")
        for row in wanted.take(named, FLAGGED, at="opened_at", key="flag_id"):
            yield row.flag, [row.slug]
        return
    for flag in wanted.take(Flag.objects.with_services(), FLAGGED, at="opened_at"):
        yield flag, flag.service_slugs


def _event(flag: Flag, slugs: list[str]) -> Event:
    """Return the event; an event has one service, so that of several is told in its detail."""
    others = f" It concerns {', '.join(slugs)}."[:300] if len(slugs) > 1 else ""
    return Event(
        FLAGGED, flag.pk, flag.opened_at, f"Flag: {flag}"[:300], flag.sentence + others,
        tone="bad" if flag.score >= 70 else "warn", service=slugs[0] if slugs else "",
        url=flag.get_absolute_url(),
    )  # fmt: skip
