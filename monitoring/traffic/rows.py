"""Builds rows by route from Prometheus's answers (pure)."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from monitoring.traffic.profiles import Profile

MAX_ROWS = 1000
TEXT_LIMIT = 300
LARGEST = 1e18  # no real counter exceeds it, and sums of such numbers stay finite
Key = tuple[str, str, str]


@dataclass(slots=True)
class RouteRow:
    """One route of one service in the window. Latencies are in seconds; None if unknown."""

    service: str
    route: str
    method: str
    requests: float = 0.0
    errors: float = 0.0
    before: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    curve: list[tuple[float, float]] = field(default_factory=list)
    service_slug: str = ""

    @property
    def error_ratio(self) -> float:
        return min(self.errors / self.requests, 1.0) if self.requests else 0.0

    @property
    def change(self) -> float | None:
        """Return the growth compared to the previous window: 0.5 means 50 % more."""
        growth = (self.requests - self.before) / self.before if self.before else math.inf
        return growth if math.isfinite(growth) else None


def merge(profile: Profile, vectors: Mapping[str, Any], matrix: Any = None) -> dict[Key, RouteRow]:
    """Return rows by key, without routes that had no request in the window."""
    rows: dict[Key, RouteRow] = {}
    for key, value in _vector(profile, vectors.get("requests")):
        if value > 0:
            rows[key] = RouteRow(*key, requests=value)
    for name in ("errors", "before"):
        for key, value in _vector(profile, vectors.get(name)):
            if key in rows:
                setattr(rows[key], name, value)
    for name in ("p50", "p95", "p99"):
        for key, value in _vector(profile, vectors.get(name)):
            if key in rows:
                setattr(rows[key], name, value * profile.scale)
    for item in _items(matrix):
        if (row := rows.get(_key(profile, item))) is not None:
            values = item.get("values")
            points = map(_point, values if isinstance(values, list) else [])
            row.curve = [point for point in points if point]
    return rows


def top(rows: Iterable[RouteRow], order: str) -> list[RouteRow]:
    """Return at most MAX_ROWS rows, ordered by `order`, highest first."""
    keys: dict[str, Any] = {
        "requests": lambda row: row.requests,
        "errors": lambda row: (row.error_ratio, row.requests),
        "p50": lambda row: row.p50 or 0.0,
        "p95": lambda row: row.p95 or 0.0,
        "p99": lambda row: row.p99 or 0.0,
        "change": lambda row: -math.inf if row.change is None else row.change,
    }
    return sorted(rows, key=keys[order], reverse=True)[:MAX_ROWS]


ORDERS = ("requests", "errors", "p50", "p95", "p99", "change")


def _vector(profile: Profile, data: Any) -> Iterable[tuple[Key, float]]:
    for item in _items(data):
        point = _point(item.get("value"))
        if point is not None:
            yield _key(profile, item), point[1]


def _items(data: Any) -> list[dict[str, Any]]:
    result = data.get("result") if isinstance(data, dict) else None
    return [item for item in result if isinstance(item, dict)] if isinstance(result, list) else []


def _key(profile: Profile, item: Mapping[str, Any]) -> Key:
    found = item.get("metric")
    labels = found if isinstance(found, dict) else {}
    service, route, method = (
        str(labels.get(name, ""))[:TEXT_LIMIT]
        for name in (profile.service, profile.route, profile.method)
    )
    return service, route, method


def _point(pair: Any) -> tuple[float, float] | None:
    try:
        at, value = float(pair[0]), float(pair[1])
    except (TypeError, ValueError, IndexError, KeyError):
        return None
    return (at, value) if math.isfinite(at) and abs(value) < LARGEST else None
