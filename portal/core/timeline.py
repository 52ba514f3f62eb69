"""Defines what each app provides to the timeline: its events, newest first, within a slice of time.

All events are ordered by (time, stream, id), newest first, so that streams can be merged by reading
no more than one page of each.
"""

import base64
import binascii
import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from portal.core.models import Service


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the timeline. `tone` is good, bad, warn or plain; `service` is a slug or empty.

    `action` is its action name in the audit trail, if it has one.
    """

    stream: str
    id: int
    at: datetime
    title: str
    detail: str = ""
    tone: str = "plain"
    service: str = ""
    actor: str = ""
    url: str = ""
    action: str = ""

    @property
    def position(self) -> tuple[datetime, str, int]:
        return self.at, self.stream, self.id


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of an event; the next page starts with the event before it in time."""

    at: datetime
    stream: str
    id: int

    def written(self) -> str:
        text = f"{self.at.isoformat()}|{self.stream}|{self.id}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, written: str) -> "Cursor":
        """Decode a cursor. Raises ValueError when it is invalid."""
        try:
            padded = written + "=" * (-len(written) % 4)
            at, stream, number = base64.urlsafe_b64decode(padded).decode("ascii").split("|")
            moment, position = datetime.fromisoformat(at), int(number)
        except (ValueError, binascii.Error, UnicodeError) as error:
            raise ValueError("This cursor does not belong to this timeline.") from error
        if moment.tzinfo is None or not 0 <= position < 2**63 or len(stream) > 40:
            raise ValueError("This cursor does not belong to this timeline.")
        return cls(moment, stream, position)


@dataclass(frozen=True, slots=True)
class Slice:
    """The requested events: older than `before`, between `since` and `until`, of one service or all."""

    limit: int
    before: Cursor | None = None
    since: datetime | None = None
    until: datetime | None = None
    service: Service | None = None

    def take(
        self, rows: QuerySet[Any], stream: str, *, at: str = "at", key: str = "pk"
    ) -> QuerySet[Any]:
        """Return the rows of one stream that are in the slice, ordered by the columns `at` and `key`, newest first."""
        if self.since:
            rows = rows.filter(**{f"{at}__gte": self.since})
        if self.until:
            rows = rows.filter(**{f"{at}__lte": self.until})
        if cursor := self.before:
            # The first condition can use an index; the second one separates rows with the same time.
            rows = rows.filter(**{f"{at}__lte": cursor.at})
            if stream == cursor.stream:
                rows = rows.filter(Q(**{f"{at}__lt": cursor.at}) | Q(**{f"{key}__lt": cursor.id}))
            elif stream > cursor.stream:
                rows = rows.filter(**{f"{at}__lt": cursor.at})
        return rows.order_by(f"-{at}", f"-{key}")[: self.limit]


Provider = Callable[[Slice], Sequence[Event]]


def merged(streams: Iterable[Sequence[Event]], limit: int) -> list[Event]:
    """Merge streams, each ordered newest first, and return the newest `limit` events."""
    together = heapq.merge(*streams, key=lambda event: event.position, reverse=True)
    return [event for event, _ in zip(together, range(limit), strict=False)]
