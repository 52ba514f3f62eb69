"""Issues as the servers send them, and as they should never send them."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.errors import payloads
from tests.payloads import recorded
from tests.sentry import wire_issue

ENTIRE = wire_issue(1)


def read(**over: Any) -> payloads.Listed | None:
    good, _bad = payloads.listed_issues(json.dumps([{**ENTIRE, **over}]).encode())
    return good[0] if good else None


def test_glitchtips_list_is_read_whole() -> None:
    good, bad = payloads.listed_issues(recorded.body("sentry/gt-org-issues.json"))
    assert (len(good), bad) == (25, 0)
    assert (good[0].issue_id, good[1].count, good[0].status) == ("61", 4, "unresolved")
    assert good[0].labels == {
        "project": "shop",
        "level": "warning",
        "platform": "python",
        "type": "default",
    }


def test_glitchtips_answers_about_one_issue_are_read() -> None:
    one = payloads.usable(msgspec.Raw(recorded.body("sentry/gt-issue-plain.json")))
    assert one is not None
    assert one.issue_id == "32"
    answer = payloads.changed(recorded.body("sentry/gt-put-resolved.json"))
    assert (answer.status, answer.assignedTo) == ("resolved", msgspec.UNSET)
    stats = json.loads(recorded.body("sentry/gt-issues-stats.json"))
    assert payloads.statistics(stats, "32", "24h") == [[1795410000, 1]]


@pytest.mark.parametrize(
    "over",
    [
        {"id": ""}, {"id": "../../x"}, {"id": "1" * 65}, {"id": None}, {"firstSeen": "yesterday"},
        {"lastSeen": "0001-01-01T00:00:00Z"}, {"lastSeen": None}, {"project": None}, {"project": {"slug": ""}},
        {"status": 7}, {"title": {"a": 1}}, {"assignedTo": "somebody"}, {"count": 1.5},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_an_issue_is_counted_and_left_out(over: dict[str, Any]) -> None:
    body = json.dumps([{**ENTIRE, **over}, wire_issue(2)]).encode()
    good, bad = payloads.listed_issues(body)
    assert ([item.issue_id for item in good], bad) == (["2"], 1)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("field", ["count", "weight"])
def test_a_number_that_json_does_not_know_costs_its_item_only(word: str, field: str) -> None:
    sick = json.dumps({**ENTIRE, field: 0.125}).replace("0.125", word)
    body = f"[{json.dumps(wire_issue(2))}, {sick}, {json.dumps(wire_issue(3))}]".encode()
    good, bad = payloads.listed_issues(body)
    assert ([item.issue_id for item in good], bad) == (["2", "3"], 1)
    assert good[0].original()["metadata"] == wire_issue(2)["metadata"]


@pytest.mark.parametrize(
    "over, count, users",
    [
        ({"count": "17", "userCount": 4}, 17, 4),
        ({"count": 17, "userCount": None}, 17, 0),
        ({"count": "17", "userCount": "4"}, 17, 4),
        ({"count": "many"}, 0, 1),
        ({"count": "-3"}, 0, 1),
        ({"count": 10**30}, payloads.LARGEST, 1),
        ({"count": "3", "lifetime": {"count": "900", "userCount": 80}}, 900, 80),
    ],
    ids=str,
)
def test_counts_in_every_spelling(over: dict[str, Any], count: int, users: int) -> None:
    item = read(**over)
    assert item is not None
    assert (item.count, item.user_count) == (count, users)


@pytest.mark.parametrize(
    "written, status",
    [("archived", "ignored"), ("muted", "ignored"), ("resolvedInNextRelease", "resolved"),
     ("reprocessing", "unresolved"), ("resolved", "resolved")],
)  # fmt: skip
def test_words_for_a_status(written: str, status: str) -> None:
    item = read(status=written)
    assert item is not None
    assert item.status == status


def test_a_trend_that_moves_on_is_no_change() -> None:
    one, two = read(), read(stats={"24h": [[1795410000, 3]]})
    assert one is not None
    assert two is not None
    assert one.content_hash == two.content_hash
    assert two.trend == [[1795410000, 3]]


@pytest.mark.parametrize("field", ["title", "status", "count", "lastSeen", "substatus", "level"])
def test_every_shown_fact_is_a_change(field: str) -> None:
    other = {"count": "999", "status": "resolved", "lastSeen": "2026-02-02T00:00:00Z"}
    one, two = read(), read(**{field: other.get(field, "else")})
    assert one is not None
    assert two is not None
    assert one.content_hash != two.content_hash


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"<html>", b"[" * 100_000, b'{"a": 1}'])
def test_a_body_that_is_no_list_says_so(body: bytes) -> None:
    with pytest.raises(payloads.PayloadError, match="not a JSON list of issues"):
        payloads.listed_issues(body)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))  # fmt: skip
def test_points_are_numbers_whatever_was_sent(written: Any) -> None:
    assert all(isinstance(n, int) and n >= 0 for pair in payloads.points(written) for n in pair)
