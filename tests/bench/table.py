"""Rows of the benchmark: ours beside a floor measured in the same run, and the bound between them."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `value` must not exceed `bound`, or not fall below it when `at_least`."""

    what: str
    ours: str
    floor: str
    value: float
    bound: float
    unit: str = "x"
    at_least: bool = False

    @property
    def holds(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def cells(self) -> tuple[str, ...]:
        sign = "≥" if self.at_least else "≤"
        verdict = "" if self.holds else "BROKEN"
        value, bound = (
            f"{number:,.2f}".rstrip("0").rstrip(".") for number in (self.value, self.bound)
        )
        return (
            self.what,
            self.ours,
            self.floor,
            f"{value} {self.unit}",
            f"{sign} {bound} {self.unit}",
            verdict,
        )


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def side_by_side(
    ours: Callable[[], object],
    floor: Callable[[], object],
    *,
    rounds: int = 7,
    reset: Callable[[], object] | None = None,
) -> tuple[float, float]:
    """Return the medians of both in seconds, run in turns so that a busy machine slows both."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for work, taken in zip((ours, floor), times, strict=True):
            if reset is not None:
                reset()
            taken.append(seconds(work))
    return statistics.median(times[0]), statistics.median(times[1])


def ratio(what: str, times: tuple[float, float], bound: float, *, floor: str) -> Row:
    """Return the row of a ratio of two medians."""
    ours, base = times
    return Row(what, f"{ours * 1000:.0f} ms", f"{base * 1000:.0f} ms {floor}", ours / base, bound)


def printed(rows: list[Row]) -> str:
    """Return the table as aligned text."""
    lines = [("what", "ours", "floor", "figure", "bound", ""), *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    padded = [
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines
    ]
    return "\n".join("  ".join(cells).rstrip() for cells in padded)
