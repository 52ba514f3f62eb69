"""Uptime from flips: tables, and what holds for any history."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.checks.uptime import STATUSES, spans, uptime

T0 = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def hours(*flips: tuple[float, str]) -> list[tuple[datetime, str]]:
    return [(T0 + timedelta(hours=h), status) for h, status in flips]


@pytest.mark.parametrize(
    ("before", "flips", "percent", "incidents"),
    [
        pytest.param("up", [], 100.0, 0, id="always-up"),
        pytest.param("down", [], 0.0, 1, id="always-down"),
        pytest.param("unknown", [], None, 0, id="nothing-known-is-no-hundred-percent"),
        pytest.param("up", [(12, "down"), (18, "up")], 75.0, 1, id="six-of-24-hours"),
        pytest.param("up", [(12, "unknown")], 100.0, 0, id="unknown-time-does-not-count"),
        pytest.param("unknown", [(12, "down"), (18, "up")], 50.0, 1, id="only-known-time-counts"),
        pytest.param("up", [(6, "degraded"), (12, "up")], 100.0, 0, id="degraded-answers"),
        pytest.param("up", [(1, "down"), (2, "up"), (3, "down"), (4, "up")], 91.667, 2, id="two"),
    ],
)
def test_percent_and_incidents(
    before: str, flips: list[tuple[float, str]], percent: float | None, incidents: int
) -> None:
    found = uptime(spans(hours(*flips), before=before, start=T0, end=T0 + DAY))
    assert found.percent == (None if percent is None else pytest.approx(percent, abs=0.001))
    assert found.incidents == incidents


@given(
    st.lists(st.tuples(st.floats(-5, 30), st.sampled_from(STATUSES)), max_size=30),
    st.sampled_from(STATUSES),
)
def test_spans_cover_the_window_without_gap_or_overlap(
    flips: list[tuple[float, str]], before: str
) -> None:
    cut = spans(hours(*flips), before=before, start=T0, end=T0 + DAY)
    assert (cut[0].start, cut[-1].end) == (T0, T0 + DAY)
    assert all(a.end == b.start and a.status != b.status for a, b in itertools.pairwise(cut))
    assert sum(uptime(cut).seconds.values()) == pytest.approx(DAY.total_seconds())
