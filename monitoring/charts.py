"""Converts a time range to a step, and Prometheus's matrix to the columns of a chart (pure)."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from portal.core import sanitize

MAX_POINTS = 400
MAX_SERIES = 20
# Prometheus allows no more points per series.
UPSTREAM_MAX_POINTS = 11_000
LABEL_LIMIT = 200
# Steps that divide minutes, hours and days, so that grid lines fall on round times.
STEPS = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
SCRAPE_SECONDS = 15
_PLACEHOLDER = re.compile(r"\{\{\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*\}\}")


class ChartError(ValueError):
    """A range or an answer cannot be charted; the message is a full sentence."""


@dataclass(frozen=True, slots=True)
class Window:
    """A time grid in Unix seconds: `start`, `start + step`, … `end`, both ends included."""

    start: int
    end: int
    step: int

    @property
    def times(self) -> tuple[int, ...]:
        return tuple(range(self.start, self.end + 1, self.step))


@dataclass(frozen=True, slots=True)
class Series:
    label: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Columns:
    """Data in uPlot's format: `values[i]` belongs to `series[i]`, each as long as `times`; None is a gap."""

    times: tuple[int, ...]
    series: tuple[Series, ...] = ()
    values: tuple[tuple[float | None, ...], ...] = ()
    note: str = ""


def step_for(seconds: float) -> int:
    """Return the smallest round step that gives at most MAX_POINTS for a range of `seconds`."""
    for step in STEPS:
        if seconds / step <= MAX_POINTS:
            return step
    return math.ceil(seconds / MAX_POINTS / STEPS[-1]) * STEPS[-1]


def window(start: float, end: float, step: int | None = None) -> Window:
    """Return the grid for a range, aligned to whole steps so that requests a moment apart are equal.

    Raises ChartError.
    """
    if not (math.isfinite(start) and math.isfinite(end)) or not 0 <= start < 2**33 or end > 2**33:
        raise ChartError("Start and end must be Unix times in seconds, or RFC 3339 times.")
    if end <= start:
        raise ChartError("The range is empty: its end must be after its start.")
    if step is not None and step < 1:
        raise ChartError("The step must be at least one second.")
    size = step or step_for(end - start)
    if (end - start) / size > UPSTREAM_MAX_POINTS:
        raise ChartError(
            f"A step of {size} s gives more than {UPSTREAM_MAX_POINTS:,} points per series."
            " Use a longer step or a shorter range."
        )
    first, last = math.floor(start / size) * size, math.floor(end / size) * size
    return Window(first, max(last, first + size), size)


def expand(promql: str, step: int) -> str:
    """Replace `$__rate_interval` as Grafana does: long enough for four scrapes and for one step."""
    interval = max(step + SCRAPE_SECONDS, 4 * SCRAPE_SECONDS)
    return promql.replace("$__rate_interval", f"{interval}s")


def columns(data: Any, grid: Window, *, legend: str = "", limit: int = MAX_SERIES) -> Columns:
    """Return the columns of a range query's `data`, in a stable order. Raises ChartError.

    NaN and infinities become gaps, as does every time without a sample; unreadable series are left out
    and counted in the note.
    """
    if not isinstance(data, dict) or data.get("resultType") != "matrix":
        raise ChartError(
            "Prometheus did not return a matrix. Use an expression that returns numbers over time."
        )
    result = data.get("result")
    if not isinstance(result, list):
        raise ChartError("The answer of Prometheus contains no list of series.")
    readable = [item for item in result if _is_series(item)]
    keyed = sorted(
        ((_series(item["metric"], legend), item["values"]) for item in readable),
        key=lambda pair: (pair[0].label, json.dumps(pair[0].labels, sort_keys=True)),
    )
    shown = keyed[:limit]
    return Columns(
        times=grid.times,
        series=_distinct([series for series, _ in shown]),
        values=tuple(_values(samples, grid) for _, samples in shown),
        note=_note(len(shown), len(keyed), len(result) - len(readable)),
    )


def _note(shown: int, total: int, unreadable: int) -> str:
    said = []
    if shown < total:
        said.append(f"Showing {shown} of {total} series; narrow the expression to see others.")
    if unreadable:
        said.append(f"{unreadable} series could not be read, for example native histograms.")
    return " ".join(said)


def _is_series(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and isinstance(item.get("metric"), dict)
        and isinstance(item.get("values"), list)
    )


def _series(metric: Mapping[str, Any], legend: str) -> Series:
    labels = {
        sanitize.line(name, LABEL_LIMIT): sanitize.line(value, LABEL_LIMIT)
        for name, value in metric.items()
    }
    return Series(label_of(labels, legend), labels)


def label_of(labels: Mapping[str, str], legend: str) -> str:
    """Return a series' name: `legend` with `{{label}}` filled in, or its labels in PromQL's notation."""
    if legend.strip():
        filled = _PLACEHOLDER.sub(lambda found: labels.get(found[1], ""), legend).strip()
        return sanitize.line(filled, LABEL_LIMIT) or "value"
    name = labels.get("__name__", "")
    inner = ", ".join(f'{key}="{labels[key]}"' for key in sorted(labels) if key != "__name__")
    return sanitize.line(name + (f"{{{inner}}}" if inner else ""), LABEL_LIMIT) or "value"


def _distinct(series: Iterable[Series]) -> tuple[Series, ...]:
    """Add numbers to series whose legend gives them the same name."""
    seen: dict[str, int] = {}
    named = []
    for one in series:
        seen[one.label] = number = seen.get(one.label, 0) + 1
        named.append(one if number == 1 else Series(f"{one.label} ({number})", one.labels))
    return tuple(named)


def _values(samples: list[Any], grid: Window) -> tuple[float | None, ...]:
    """Place samples on the grid; Prometheus already aligns them, so that rounding only removes float noise."""
    cells: list[float | None] = [None] * len(grid.times)
    for sample in samples:
        try:
            moment, value = float(sample[0]), float(sample[1])
            index = round((moment - grid.start) / grid.step)
        except (TypeError, ValueError, IndexError, KeyError, OverflowError):
            continue
        if 0 <= index < len(cells) and math.isfinite(value):
            cells[index] = value
    return tuple(cells)
