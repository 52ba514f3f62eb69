"""The bodies of searches, cursors, and what the parameters of a page may say."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.logs import queries
from monitoring.logs.cursors import Cursor
from monitoring.logs.links import discover_url, flavour_of, lucene
from monitoring.logs.parameters import ParameterError, parse_parameters
from monitoring.logs.queries import LogQuery

NOW = datetime(2026, 11, 20, 10, 16, tzinfo=UTC)
HOUR = LogQuery(since=NOW - timedelta(hours=1), until=NOW)


def filters(body: dict[str, Any]) -> list[str]:
    return [next(iter(clause)) for clause in body["query"]["bool"]["filter"]]


def test_a_search_is_bounded_in_time_and_counted_hits() -> None:
    body = queries.search(HOUR, size=50)
    assert body["size"] == 50
    assert body["timeout"] == "5s"
    assert body["track_total_hits"] == 10_000
    (bounds,) = body["query"]["bool"]["filter"]
    assert bounds["range"]["@timestamp"]["gte"] == "2026-11-20T09:16:00.000Z"
    assert body["aggs"]["over_time"]["date_histogram"]["fixed_interval"] == "60s"
    assert "must" not in body["query"]["bool"]


def test_each_filter_is_a_clause_and_the_text_is_lucene() -> None:
    query = LogQuery(HOUR.since, HOUR.until, "a AND b", "shop", "web-1", ("error", "warning"))
    body = queries.search(query, size=1)
    assert filters(body) == ["range", "simple_query_string", "bool", "bool"]
    (text,) = body["query"]["bool"]["must"]
    assert text["query_string"]["query"] == "a AND b"
    words = body["query"]["bool"]["filter"][1]["simple_query_string"]["query"].split()
    assert {"error", "ERROR", "Error", "50", "warn"} <= set(words)
    assert "info" not in words


def test_what_a_service_calls_its_own_takes_the_place_of_its_name() -> None:
    own = (("service.name", ("api", "worker")), ("kubernetes.namespace", ("shop",)))
    body = queries.search(LogQuery(HOUR.since, HOUR.until, service="shop", own=own), size=1)
    _range, either, namespace = body["query"]["bool"]["filter"]
    names = [clause["bool"]["should"][0]["multi_match"] for clause in either["bool"]["should"]]
    assert [name["query"] for name in names] == ["api", "worker"]
    assert "app.keyword" in names[0]["fields"]
    twin, other = namespace["bool"]["should"]
    assert twin["multi_match"]["fields"] == ["kubernetes.namespace.keyword"]
    assert other["bool"]["must_not"] == [{"exists": {"field": "kubernetes.namespace.keyword"}}]
    assert either["bool"]["minimum_should_match"] == 1


def test_a_next_page_repeats_the_last_moment_without_what_was_shown() -> None:
    body = queries.search(HOUR, size=10, cursor=Cursor(1000, 7, ("a", "b")))
    assert body["search_after"] == [1000, 8]
    assert [next(iter(key)) for key in body["sort"]] == ["@timestamp", "_seq_no"]
    assert body["query"]["bool"]["must_not"] == [{"ids": {"values": ["a", "b"]}}]
    assert "aggs" not in body
    assert queries.search(HOUR, size=10, cursor=Cursor(1000, 7))["search_after"] == [1000, 7]


def test_neighbours_of_a_line_leave_it_out_and_share_no_moment_twice() -> None:
    place, same = Cursor(1000, 7, ("x",)), {"service": "shop", "host": "", "size": 5}
    before = queries.neighbours(place, **same, before=True)  # type: ignore[arg-type]
    after = queries.neighbours(place, **same, before=False)  # type: ignore[arg-type]
    assert (before["search_after"], before["sort"][0]["@timestamp"]["order"]) == ([1000, 7], "desc")
    assert (after["search_after"], after["sort"][0]["@timestamp"]["order"]) == ([1000, 6], "asc")
    assert "must_not" not in before["query"]["bool"]
    assert after["query"]["bool"]["must_not"] == [{"ids": {"values": ["x"]}}]
    assert filters(after) == ["exists", "bool"]


@pytest.mark.parametrize(
    "seconds, most", [(1, 60), (900, 60), (3600, 60), (86_400, 60), (92 * 86_400, 92)]
)  # fmt: skip
def test_a_histogram_has_few_bars(seconds: int, most: int) -> None:
    query = LogQuery(NOW - timedelta(seconds=seconds), NOW)
    assert seconds / query.step_seconds <= most


NUMBERS = st.integers(-(2**61), 2**61)


@given(NUMBERS, NUMBERS, st.lists(st.text(min_size=1, max_size=30), max_size=100))
def test_a_cursor_comes_back_as_it_was(sort: int, tie: int, ids: list[str]) -> None:
    cursor = Cursor(sort, tie, tuple(ids))
    assert Cursor.read(cursor.written()) == cursor


@given(st.text(max_size=60))
def test_no_text_makes_a_cursor_fail_otherwise(written: str) -> None:
    with contextlib.suppress(ValueError):
        Cursor.read(written)


def wrong(**parameters: str) -> dict[str, list[str]]:
    with pytest.raises(ParameterError) as caught:
        parse_parameters(parameters, at=NOW)
    return caught.value.errors


@pytest.mark.parametrize(
    "name, value",
    [("since", "yesterday"), ("since", "nan"), ("since", "1e300"), ("since", "2026-01-31T12:00:00"),
     ("until", "2026-13-01T00:00:00Z"), ("around", "0001-01-01T00:00:00+14:00"), ("range", "forever"),
     ("level", "loud"), ("page_size", "0"), ("page_size", "501"), ("page_size", "٣"), ("lines", "-1"),
     ("cursor", "%%%"), ("cursor", "W10="), ("q", "x" * 2001), ("service", "a\x00b"), ("minutes", "1441")],
)  # fmt: skip
def test_a_parameter_that_cannot_be_used_is_named(name: str, value: str) -> None:
    assert list(wrong(**{name: value})) == [name]


def test_a_range_that_ends_before_it_begins_is_named() -> None:
    assert wrong(since="2026-11-20T10:00:00Z", until="2026-11-20T09:00:00Z").keys() == {"since"}
    assert wrong(since="2025-11-20T10:00:00Z").keys() == {"since"}


def test_times_are_relative_absolute_or_around_a_moment() -> None:
    assert parse_parameters({}, at=NOW).query == HOUR
    assert parse_parameters({"range": "15m"}, at=NOW).query.since == NOW - timedelta(minutes=15)
    around = parse_parameters(
        {"around": str(NOW.timestamp()), "minutes": "2", "range": "7d"}, at=NOW
    )
    assert (around.query.since, around.query.until) == (
        NOW - timedelta(minutes=2),
        NOW + timedelta(minutes=2),
    )
    assert around.around == NOW


ASKED = ("q", "since", "until", "around", "level", "cursor", "range", "lines")


@given(st.dictionaries(st.sampled_from(ASKED), st.text(max_size=30)))
def test_nothing_that_is_asked_fails_otherwise(parameters: dict[str, str]) -> None:
    with contextlib.suppress(ParameterError):
        found = parse_parameters(parameters, at=NOW)
        assert found.query.since < found.query.until


def test_what_a_service_calls_its_own_is_lucene_in_kibana() -> None:
    own = (("service.name", ("api", 'a"b')), ("app/kubernetes-io", ("shop",)))
    said = lucene(LogQuery(HOUR.since, HOUR.until, service="shop", own=own))
    assert said == r'service.name:("api" OR "a\"b") AND app\/kubernetes\-io:"shop"'


SEARCH = LogQuery(HOUR.since, HOUR.until, "it's (big)!", "shop", "", ("error",))
STATE = "query:(language:lucene,query:'(it!'s%20(big)!!)%20AND%20service.name:%22shop%22%20AND%20log.level:(error)')"


@pytest.mark.parametrize(
    "flavour, parts",
    [
        ("kibana7", ["/app/discover#/?_g=(", "index:'v',", STATE]),
        ("kibana8", ["/app/discover#/?_g=(", "dataSource:(dataViewId:'v',type:dataView)", STATE]),
        ("opensearch1", ["/app/discover#/?_g=(", "index:'v',", STATE]),
        ("opensearch2", ["/app/data-explorer/discover#?_a=(", "indexPattern:'v'", f"&_q=(filters:!(),{STATE}"]),
    ],
)  # fmt: skip
def test_a_link_for_each_generation(flavour: str, parts: list[str]) -> None:
    link = discover_url("https://kibana/s/ops", SEARCH, flavour=flavour, data_view="v")
    assert link.startswith("https://kibana/s/ops/app/")
    assert "time:(from:'2026-11-20T09:16:00.000Z',to:'2026-11-20T10:16:00.000Z')" in link
    for part in parts:
        assert part in link
    assert discover_url("", SEARCH, flavour=flavour) == ""


@pytest.mark.parametrize(
    "distribution, version, flavour",
    [("Elasticsearch", "7.17.1", "kibana7"), ("Elasticsearch", "9.0.0", "kibana8"), ("", "", "kibana8"),
     ("OpenSearch", "1.3.0", "opensearch1"), ("OpenSearch", "2.9.0", "opensearch1"),
     ("OpenSearch", "2.10.0", "opensearch2"), ("OpenSearch", "2.18.0", "opensearch2"),
     ("OpenSearch", "3.1.0", "opensearch2"), ("OpenSearch", "x", "opensearch2")],
)  # fmt: skip
def test_the_generation_follows_the_server(distribution: str, version: str, flavour: str) -> None:
    assert flavour_of(distribution, version) == flavour
