"""Replies of real servers, and mutilated ones: lines, notes, the server's words."""

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.logs import replies
from monitoring.logs.cursors import Cursor
from monitoring.logs.queries import LogQuery
from monitoring.logs.replies import Found, ReplyError
from tests.elastic import FOLDER, reply

UNTIL = datetime(2026, 11, 20, 10, 16, tzinfo=UTC)
QUERY = LogQuery(since=UNTIL - timedelta(hours=1), until=UNTIL)


def read(name: str, **over: Any) -> Found:
    return replies.found({**reply(name), **over}, QUERY, size=100)


def test_fields_are_found_under_dotted_nested_and_foreign_names() -> None:
    one, two, three = read("search").lines
    assert (one.level, one.service, one.host) == ("error", "devops-portal", "web-1")
    assert one.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert (two.level, two.service, two.message) == ("info", "devops-portal", "GET /admin/ 200")
    assert (three.level, three.service, three.host) == ("error", "shop", "shop-1")
    assert three.message == "payment refused"
    assert two.fields["http.response.status_code"] == "200"
    assert two.fields["tags"] == "a, b"
    assert two.at == datetime(2026, 11, 20, 10, 15, 29, 500_000, tzinfo=UTC)


def test_the_histogram_covers_the_whole_range() -> None:
    found = read("search")
    assert len(found.buckets) == 60
    assert [(b.lines, b.bad) for b in found.buckets if b.lines] == [(3, 2)]
    assert found.buckets[0].at == QUERY.since


@pytest.mark.parametrize(
    "name, total, exact, note",
    [
        ("search", 3, True, ""),
        ("search-opensearch", 3, True, ""),
        ("search-many", 10_000, False, ""),
        ("search-empty", 0, True, ""),
        ("search-no-index", 0, True, "There is no index with this name"),
        ("search-timed-out", 10_000, False, "stopped after 5 seconds"),
        ("search-partial", 3, True, "1 of 3 shards failed, so lines are missing: Fielddata is disabled"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(name: str, total: int, exact: bool, note: str) -> None:
    found = read(name)
    assert (found.total, found.exact) == (total, exact)
    assert len(found.notes) == bool(note)
    assert note in "".join(found.notes)


@pytest.mark.parametrize(
    "name, words",
    [
        ("refused-query", "Failed to parse query [level:(]: Encountered \"<EOF>\" at line 1, column 7."),
        ("refused-query-opensearch", "Failed to parse query [level:(]: Encountered \"<EOF>\" at line 1, column 7."),
        ("refused-distance", "failed to create query: Valid edit distances are [0, 1, 2] but was [200]"),
        ("unauthorised", "unable to authenticate user [portal_reader]"),
        ("index-missing", "no such index [logs]"),
    ],
)  # fmt: skip
def test_the_servers_words(name: str, words: str) -> None:
    said = replies.words(reply(name))
    assert said.count(words) == 1
    assert "\n" not in said
    assert said.count("Valid edit distances") <= 1  # the cause repeats what was said before it


def test_a_full_page_has_a_cursor_that_knows_what_was_shown_of_its_last_moment() -> None:
    found = replies.found(reply("search"), QUERY, size=3)
    _first, second, third = found.lines
    assert found.next_cursor == Cursor(1795169729500, 0, (second.id, third.id))
    earlier = Cursor(1795169729500, 0, ("0",))
    going_on = replies.found(reply("search"), QUERY, size=3, cursor=earlier)
    assert going_on.next_cursor == Cursor(1795169729500, 0, ("0", second.id, third.id))
    assert read("search").next_cursor is None


def test_lines_that_cannot_be_read_are_counted_and_the_others_kept() -> None:
    decoded = reply("search")
    decoded["hits"]["hits"][1:1] = [None, {"_id": "x"}, {"_source": {}, "_id": "y", "sort": ["a"]}]
    found = replies.found(decoded, QUERY, size=100)
    assert len(found.lines) == 3
    assert "3 lines could not be read" in "".join(found.notes)


@pytest.mark.parametrize("decoded", [None, [], {}, {"hits": []}, {"hits": {"hits": {}}}, "text", 3])
def test_what_is_no_search_says_so(decoded: Any) -> None:
    with pytest.raises(ReplyError):
        replies.found(decoded, QUERY, size=10)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in a decoded reply."""
    inner: list[tuple[Any, Any]] = list(enumerate(value)) if isinstance(value, list) else []
    inner = list(value.items()) if isinstance(value, dict) else inner
    return [path, *(deeper for key, each in inner for deeper in places(each, (*path, key)))]


RECORDED = {path.stem: reply(path.stem) for path in sorted(FOLDER.glob("*.json"))}


@given(name=st.sampled_from(sorted(RECORDED)), junk=JUNK, data=st.data())
def test_a_mutilated_reply_raises_nothing_else(name: str, junk: Any, data: st.DataObject) -> None:
    decoded = {"whole": copy.deepcopy(RECORDED[name])}
    *way, last = data.draw(st.sampled_from(places(decoded)[1:]))
    holder: Any = decoded
    for key in way:
        holder = holder[key]
    holder[last] = junk
    replies.words(decoded["whole"])
    replies.has_no_index(decoded["whole"])
    try:
        found = replies.found(decoded["whole"], QUERY, size=1)
    except ReplyError:
        return
    assert all(isinstance(line.message, str) for line in found.lines)
    assert "\x00" not in "".join(v for line in found.lines for v in line.fields.values())
