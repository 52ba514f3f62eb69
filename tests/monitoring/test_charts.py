"""Ranges to steps, and Prometheus's matrix to columns: tables, and what holds for any input."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring import charts
from monitoring.charts import ChartError, Window, columns, expand, step_for, window

GRID = Window(100, 140, 10)


def matrix(*series: tuple[dict[str, str], list[list[Any]]]) -> dict[str, Any]:
    result = [{"metric": metric, "values": values} for metric, values in series]
    return {"resultType": "matrix", "result": result}


@pytest.mark.parametrize(
    "seconds, step",
    [(900, 5), (3600, 10), (6 * 3600, 60), (24 * 3600, 300), (7 * 86400, 1800), (365 * 86400, 86400),
     (800 * 86400, 2 * 86400), (0.1, 5)],
    ids=["15m", "1h", "6h", "24h", "7d", "a year", "longer", "a blink"],
)  # fmt: skip
def test_a_range_gets_a_round_step_of_at_most_400_points(seconds: float, step: int) -> None:
    assert step_for(seconds) == step
    assert seconds / step_for(seconds) <= charts.MAX_POINTS


def test_a_window_is_aligned_so_that_two_requests_a_moment_apart_are_equal() -> None:
    assert window(1003, 4604) == window(1001, 4601) == Window(1000, 4600, 10)


@pytest.mark.parametrize(
    "start, end, step, words",
    [
        (10, 10, None, "empty"),
        (20, 10, None, "empty"),
        (math.nan, 10, None, "Unix times"),
        (0, math.inf, None, "Unix times"),
        (-5, 10, None, "Unix times"),
        (0, 86400, 1, "11,000 points"),
        (0, 86400, 0, "at least one second"),
    ],
)
def test_an_impossible_range_is_refused_in_words(
    start: float, end: float, step: int | None, words: str
) -> None:
    with pytest.raises(ChartError, match=words):
        window(start, end, step)


def test_gaps_nan_infinities_and_rubbish_become_null() -> None:
    samples: list[Any] = [
        [100, "1.5"],
        [110, "NaN"],
        [130.0001, "+Inf"],
        [140, "4"],
        ["x", "1"],
        [150, "9"],
        [],
        None,
    ]
    drawn = columns(matrix(({"job": "a"}, samples)), GRID)
    assert drawn.times == (100, 110, 120, 130, 140)
    assert drawn.values == ((1.5, None, None, None, 4.0),)


@pytest.mark.parametrize(
    "labels, legend, label",
    [
        ({"instance": "db:9100"}, "{{instance}}", "db:9100"),
        ({"instance": "db", "mode": "user"}, "{{ mode }} on {{instance}}", "user on db"),
        ({"a": "1"}, "{{missing}}", "value"),
        ({"__name__": "up", "b": "2", "a": "1"}, "", 'up{a="1", b="2"}'),
        ({"__name__": "up"}, "", "up"),
        ({}, "", "value"),
        ({"a": "line\nbreak\x00"}, "{{a}}", "line break\ufffd"),
    ],
)  # fmt: skip
def test_a_legend_is_filled_in(labels: dict[str, str], legend: str, label: str) -> None:
    assert columns(matrix((labels, [])), GRID, legend=legend).series[0].label == label


def test_too_many_series_are_cut_in_a_stable_order_and_said() -> None:
    many = [({"i": f"{n:03}"}, [[100, "1"]]) for n in range(134)]
    forth, back = columns(matrix(*many), GRID), columns(matrix(*reversed(many)), GRID)
    assert forth == back
    assert len(forth.series) == 20
    assert forth.note.startswith("Showing 20 of 134 series")


def test_series_of_the_same_name_are_told_apart() -> None:
    drawn = columns(matrix(({"i": "1"}, []), ({"i": "2"}, [])), GRID, legend="same")
    assert [series.label for series in drawn.series] == ["same", "same (2)"]


def test_what_cannot_be_read_is_counted_and_the_rest_is_drawn() -> None:
    data = matrix(({"i": "1"}, [[100, "1"]]))
    data["result"] += [{"metric": {}, "histograms": []}, 7, {"values": []}]
    drawn = columns(data, GRID)
    assert len(drawn.series) == 1
    assert "3 series could not be read" in drawn.note


@pytest.mark.parametrize(
    "data", [None, [], {"resultType": "vector", "result": []}, {"resultType": "matrix"}]
)
def test_an_answer_that_is_no_matrix_is_refused(data: Any) -> None:
    with pytest.raises(ChartError):
        columns(data, GRID)


def test_the_rate_interval_covers_four_scrapes_and_one_step() -> None:
    assert expand("rate(x[$__rate_interval])", 10) == "rate(x[60s])"
    assert expand("rate(x[$__rate_interval])", 1800) == "rate(x[1815s])"


scalars = st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.integers()
rubbish = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4), max_leaves=6)
sample = st.tuples(st.integers(60, 180), st.sampled_from(["1", "-2.5", "NaN", "+Inf", "-Inf", "x"]))
series_strategy = st.fixed_dictionaries(
    {
        "metric": st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
        "values": st.lists(sample.map(list) | rubbish, max_size=12),
    }
)


@given(st.lists(series_strategy | rubbish, max_size=30), st.text(max_size=20))
def test_whatever_prometheus_answers_columns_are_drawable(result: list[Any], legend: str) -> None:
    drawn = columns({"resultType": "matrix", "result": result}, GRID, legend=legend)
    assert len(drawn.series) == len(drawn.values) <= charts.MAX_SERIES
    assert len({series.label for series in drawn.series}) == len(drawn.series)
    for column in drawn.values:
        assert len(column) == len(drawn.times)
        assert all(value is None or math.isfinite(value) for value in column)
    json.dumps([series.label for series in drawn.series], ensure_ascii=False).encode()


@given(st.floats(0, 2**33), st.floats(1, 10**9))
def test_every_window_is_aligned_and_bounded(start: float, length: float) -> None:
    end = min(start + length, 2**33)
    if end <= start:
        return
    grid = window(start, end)
    assert grid.start % grid.step == 0
    assert grid.start < grid.end
    assert len(grid.times) <= charts.MAX_POINTS + 2
