"""Computes SVG coordinates for small charts: a strip of statuses, and a curve of latencies (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from monitoring.checks.uptime import Span

WIDTH, HEIGHT = 1000.0, 60.0
# A narrower bar would be invisible.
MIN_BAR_WIDTH = 2.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One span of a status on a strip that is WIDTH wide."""

    status: str
    x: float
    width: float
    title: str


def strip(spans: Sequence[Span]) -> list[Bar]:
    """Return bars for spans that cover a window without gaps."""
    if not spans:
        return []
    start, end = spans[0].start, spans[-1].end
    scale = WIDTH / ((end - start).total_seconds() or 1)
    bars = []
    for span in spans:
        x = (span.start - start).total_seconds() * scale
        width = max(span.seconds * scale, 0 if span.status == "up" else MIN_BAR_WIDTH)
        title = f"{span.status}: {span.start:%Y-%m-%d %H:%M} – {span.end:%Y-%m-%d %H:%M} UTC"
        bars.append(Bar(span.status, round(x, 2), round(width, 2), title))
    return bars


def curve(points: Sequence[tuple[datetime, float]], *, start: datetime, end: datetime) -> list[str]:
    """Return `points` of SVG polylines, one per run of hours without a gap, highest at the top."""
    top = max((value for _, value in points), default=0.0) or 1.0
    scale = WIDTH / ((end - start).total_seconds() or 1)
    lines: list[list[str]] = []
    last: datetime | None = None
    for at, value in points:
        if last is None or (at - last).total_seconds() > 2 * 3600:
            lines.append([])
        last = at
        x = (at - start).total_seconds() * scale
        y = HEIGHT - value / top * (HEIGHT - 4)
        lines[-1].append(f"{x:.1f},{y:.1f}")
    return [" ".join(line) for line in lines]
