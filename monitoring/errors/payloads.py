"""Parses Sentry's JSON into typed structs (pure); ignores unknown fields, and counts and skips bad items.

https://docs.sentry.io/api/events/list-an-organizations-issues/ ; GlitchTip sends the same list with
counts as text, an empty trend and no assignee, and answers a change in snake_case.
"""

import contextlib
import hashlib
import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from alerts.payloads import instant
from portal.core import sanitize

STATUSES = frozenset({"unresolved", "resolved", "ignored"})
# Over time, Sentry has called ignored issues archived, muted and reprocessing; any other status is open.
_SAME_STATUS = {"archived": "ignored", "muted": "ignored", "resolvedInNextRelease": "resolved"}
LARGEST = 2**62  # a bigint with room for sums
TREND_POINTS = 400


class PayloadError(ValueError):
    """The answer does not have the format of Sentry's API; the message says where."""


class Project(msgspec.Struct, frozen=True, gc=False):
    slug: str
    name: str | None = ""
    platform: str | None = ""


class Assignee(msgspec.Struct, frozen=True, gc=False):
    """`type` is user or team."""

    id: str | int = ""
    type: str | None = "user"
    name: str | None = ""
    email: str | None = ""

    @property
    def text(self) -> str:
        name = self.email or self.name or f"{self.type}:{self.id}"
        return f"team {self.name or self.id}" if self.type == "team" else name


class Lifetime(msgspec.Struct, frozen=True, gc=False):
    """Numbers over all time, whereas those of the list cover its period only."""

    count: str | int | None = None
    userCount: str | int | None = None


class ListedIssue(msgspec.Struct, frozen=True):
    """One item of `GET /organizations/{org}/issues/`."""

    id: str | int
    project: Project
    firstSeen: str
    lastSeen: str
    status: str
    title: str | None = ""
    culprit: str | None = ""
    level: str | None = ""
    platform: str | None = ""
    substatus: str | None = ""
    shortId: str | None = ""
    permalink: str | None = ""
    type: str | None = ""
    logger: str | None = ""
    count: str | int | None = 0
    userCount: str | int | None = 0
    assignedTo: Assignee | None = None
    lifetime: Lifetime | None = None
    stats: dict[str, Any] | None = None


class Listed(msgspec.Struct, frozen=True):
    """A usable issue with parsed numbers and times; `raw` is the item as sent."""

    issue: ListedIssue
    raw: msgspec.Raw
    issue_id: str
    status: str
    count: int
    user_count: int
    first_seen_at: datetime
    last_seen_at: datetime

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels that matchers of a service can refer to."""
        issue = self.issue
        found = {
            "project": issue.project.slug,
            "level": issue.level,
            "platform": self.platform,
            "type": issue.type,
            "logger": issue.logger,
        }
        return {name: value for name, value in found.items() if value}

    @property
    def platform(self) -> str:
        return self.issue.platform or self.issue.project.platform or ""

    @property
    def assigned_to(self) -> str:
        return self.issue.assignedTo.text if self.issue.assignedTo else ""

    @property
    def content_hash(self) -> bytes:
        """Return a 16-byte hash of everything that is shown, without `stats`, which change every hour."""
        issue = self.issue
        said = (
            issue.title, issue.culprit, issue.level, self.platform, self.status, issue.substatus, self.count,
            self.user_count, issue.firstSeen, issue.lastSeen, issue.permalink, issue.shortId, issue.project,
            issue.assignedTo,
        )  # fmt: skip
        return hashlib.blake2b(_encoder.encode(said), digest_size=16).digest()

    @property
    def trend(self) -> list[list[int]]:
        """Return [[Unix seconds, events], …] of the last 24 hours; empty when the server sends none."""
        return points((self.issue.stats or {}).get("24h"))

    def original(self) -> dict[str, Any]:
        """Return the item as sent, made storable, without its trend."""
        decoded = json.loads(bytes(self.raw))
        decoded.pop("stats", None)
        return dict(sanitize.json(decoded, limit=2000))


class Changed(msgspec.Struct, frozen=True):
    """The response to a change; only fields that it contains are stored."""

    status: str | None = None
    substatus: str | None = None
    assignedTo: Assignee | msgspec.UnsetType | None = msgspec.UNSET


class Statistics(msgspec.Struct, frozen=True):
    """One item of `GET /organizations/{org}/issues-stats/`."""

    id: str | int
    stats: dict[str, Any] | None = None


_encoder = msgspec.json.Encoder()
_items = msgspec.json.Decoder(list[msgspec.Raw])
_issue = msgspec.json.Decoder(ListedIssue)
_changed = msgspec.json.Decoder(Changed)


def listed_issues(body: bytes) -> tuple[list[Listed], int]:
    """Return the usable issues of a page, and the number of unusable ones. Raises PayloadError."""
    good, bad, _same = page(body, {})
    return good, bad


def page(body: bytes, known: Mapping[bytes, str]) -> tuple[list[Listed], int, list[str]]:
    """Return usable issues, the number of unusable ones, and the ids of those unchanged from `known`.

    `known` maps the hash of an item as sent to its id. Items that are identical byte by byte, which is
    most of a list that is read again, are not decoded. Raises PayloadError.
    """
    try:
        items = _decoded(body)
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"The answer is not a JSON list of issues: {error}.") from error
    hashed = [(item, known.get(raw_hash(item)) if known else None) for item in items]
    found = [usable(item) for item, name in hashed if name is None]
    good = [item for item in found if item is not None]
    return good, len(found) - len(good), [name for _item, name in hashed if name is not None]


def raw_hash(raw: msgspec.Raw) -> bytes:
    return hashlib.blake2b(raw, digest_size=16).digest()


def _decoded(body: bytes) -> list[msgspec.Raw]:
    """Return the items as they were sent, or encoded again if the list is not valid JSON."""
    with contextlib.suppress(msgspec.DecodeError):
        return _items.decode(body)
    with contextlib.suppress(msgspec.DecodeError):
        return _items.decode(sanitize.mended(body))
    return [msgspec.Raw(item) for item in sanitize.items(body)]


def usable(raw: msgspec.Raw) -> Listed | None:
    """Return one issue; None when it has no identity, status or plausible time."""
    try:
        issue = _issue.decode(raw)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    name, lifetime = str(issue.id), issue.lifetime or Lifetime()
    first, last = instant(issue.firstSeen), instant(issue.lastSeen)
    if not (0 < len(name) <= 64 and name.isascii() and name.isalnum() and issue.project.slug):
        return None
    if first is None or last is None:
        return None
    return Listed(
        issue=issue,
        raw=raw,
        issue_id=name,
        status=status_of(issue.status),
        count=number(issue.count if lifetime.count is None else lifetime.count),
        user_count=number(issue.userCount if lifetime.userCount is None else lifetime.userCount),
        first_seen_at=first,
        last_seen_at=last,
    )


def changed(body: bytes) -> Changed:
    """Return the server's response to a change; an empty one means that it was accepted."""
    if not body.strip():
        return Changed()
    try:
        return _changed.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise PayloadError(f"The answer to the change is not an issue: {error}.") from error


def status_of(written: str) -> str:
    known = _SAME_STATUS.get(written, written)
    return known if known in STATUSES else "unresolved"


def number(written: str | int | None) -> int:
    """Return a count, which some servers send as a string; 0 when it is invalid."""
    try:
        value = int(written or 0)
    except ValueError:
        return 0
    return max(0, min(value, LARGEST))


def points(written: Any) -> list[list[int]]:
    """Return the readable points of a trend, oldest first."""
    pairs = written if isinstance(written, list) else []
    found = [
        [int(pair[0]), max(0, min(int(pair[1]), LARGEST))]
        for pair in pairs[-TREND_POINTS:]
        if isinstance(pair, list) and len(pair) == 2 and all(_is_count(part) for part in pair)
    ]
    return sorted(found)


def _is_count(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and 0 <= value < LARGEST
    )


def statistics(decoded: Any, issue_id: str, period: str) -> list[list[int]]:
    """Return the trend of one issue from an answer of `issues-stats`."""
    for item in decoded if isinstance(decoded, list) else []:
        if isinstance(item, Mapping) and str(item.get("id")) == issue_id:
            stats = item.get("stats")
            return points(stats.get(period) if isinstance(stats, Mapping) else None)
    return []
