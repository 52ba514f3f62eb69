"""Parses the parameters of a log search, from the page or the API (pure); errors are keyed by field."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from monitoring.logs.cursors import Cursor
from monitoring.logs.queries import LEVELS, LogQuery

RANGES: dict[str, tuple[str, int]] = {
    "15m": ("Last 15 minutes", 900),
    "1h": ("Last hour", 3600),
    "6h": ("Last 6 hours", 6 * 3600),
    "24h": ("Last 24 hours", 24 * 3600),
    "7d": ("Last 7 days", 7 * 24 * 3600),
}
DEFAULT_RANGE = "1h"
AROUND_MINUTES = 5
LONGEST = timedelta(days=92)
TEXT_LIMIT = 2000
NAME_LIMIT = 200
ID_LIMIT = 512


class ParameterError(ValueError):
    """Invalid parameters: `errors` maps each parameter to its messages."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__(" ".join(sentence for said in errors.values() for sentence in said))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class LogRequest:
    """A search and the requested part of its results; `context` is the id of a line whose neighbours to show."""

    query: LogQuery
    range: str = ""
    around: datetime | None = None
    cursor: Cursor | None = None
    page_size: int = 100
    context: str = ""
    lines: int = 25


def parse_parameters(parameters: Mapping[str, str], *, at: datetime) -> LogRequest:
    """Return the request that the parameters describe; relative times count from `at`. Raises ParameterError."""
    reader = _Reader(parameters)
    cursor = reader.cursor()
    query, chosen, around = reader.query(at)
    result = LogRequest(
        query=query,
        range=chosen,
        around=around,
        cursor=cursor,
        page_size=reader.number("page_size", 100, most=500),
        context=reader.text("context", ID_LIMIT),
        lines=reader.number("lines", 25, most=100),
    )
    if reader.errors:
        raise ParameterError(reader.errors)
    return result


class _Reader:
    """Reads parameters one by one and collects their errors."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self.parameters = parameters
        self.errors: dict[str, list[str]] = {}

    def text(self, name: str, limit: int) -> str:
        written = self.parameters.get(name, "").strip()
        if len(written) > limit or "\x00" in written:
            self.errors[name] = [f"Write at most {limit} characters, without control characters."]
        return written

    def number(self, name: str, default: int, *, most: int) -> int:
        written = self.parameters.get(name, "").strip()
        if not written:
            return default
        if not (
            written.isascii()
            and written.isdigit()
            and len(written) < 6
            and 0 < int(written) <= most
        ):
            self.errors[name] = [f"Write a whole number from 1 to {most}."]
            return default
        return int(written)

    def levels(self) -> tuple[str, ...]:
        words = [word.strip().lower() for word in self.text("level", NAME_LIMIT).split(",")]
        wanted = tuple(dict.fromkeys(word for word in words if word))
        if set(wanted) - set(LEVELS):
            self.errors["level"] = [
                f"Available levels: {', '.join(LEVELS)}; separate several with commas."
            ]
        return wanted

    def moment(self, name: str) -> datetime | None:
        written = self.parameters.get(name, "").strip()
        if not written:
            return None
        try:
            found = instant(written)
        except (ValueError, OverflowError, OSError):
            self.errors[name] = [
                "Write a Unix time or an RFC 3339 time such as 2026-01-31T12:00:00Z."
            ]
            return None
        return found

    def cursor(self) -> Cursor | None:
        written = self.parameters.get("cursor", "").strip()
        if not written:
            return None
        try:
            return Cursor.read(written)
        except (ValueError, OverflowError):
            self.errors["cursor"] = [
                "This cursor does not belong to this search. Start again without it."
            ]
            return None

    def query(self, at: datetime) -> tuple[LogQuery, str, datetime | None]:
        """Return the query, the key of its range (or empty), and the moment it is centred on (or None)."""
        since, until, around = self.moment("since"), self.moment("until"), self.moment("around")
        minutes = self.number("minutes", AROUND_MINUTES, most=1440)
        chosen = self.parameters.get("range", "").strip()
        if chosen and chosen not in RANGES:
            self.errors["range"] = [f"Available ranges: {', '.join(RANGES)}."]
        seconds = RANGES.get(chosen, RANGES[DEFAULT_RANGE])[1]
        end = until or at
        query = LogQuery(
            since=since or end - timedelta(seconds=seconds),
            until=end,
            text=self.text("q", TEXT_LIMIT),
            service=self.text("service", NAME_LIMIT),
            host=self.text("host", NAME_LIMIT),
            levels=self.levels(),
        )
        if around is not None:
            return query.around(around, minutes), "", around
        if not timedelta(0) < query.until - query.since <= LONGEST:
            self.errors["since"] = [f"It must be before `until`, by {LONGEST.days} days at most."]
        given = since is not None or until is not None
        return query, "" if given else chosen if chosen in RANGES else DEFAULT_RANGE, None


def instant(written: str) -> datetime:
    """Return a Unix or RFC 3339 time with zone. Raises ValueError, OverflowError or OSError."""
    try:
        seconds = float(written)
    except ValueError:
        found = datetime.fromisoformat(written)
        if found.tzinfo is None:
            raise ValueError("no zone") from None
        found = found.astimezone(UTC)
    else:
        if not math.isfinite(seconds):
            raise ValueError("not finite")
        found = datetime.fromtimestamp(seconds, UTC)
    if not 1980 <= found.year <= 2200:
        raise ValueError("no time of a log")
    return found
