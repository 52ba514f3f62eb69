"""What a reading of the list means: a table of statuses, and the invariants of a plan."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.errors.payloads import Listed, listed_issues
from monitoring.errors.reconcile import Known, Plan, plan, step_between
from tests.sentry import wire_issue

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
SEEN = "2026-03-01T12:10:00Z"
BEFORE = datetime(2026, 3, 1, 11, 0, tzinfo=UTC)


def listed(number: int = 1, **over: Any) -> Listed:
    fields = {"lastSeen": SEEN, "firstSeen": "2026-02-01T00:00:00Z", "count": "20", **over}
    (item,), _bad = listed_issues(json.dumps([wire_issue(number, **fields)]).encode())
    return item


def known(**over: Any) -> Known:
    fields = {
        "id": 1, "content_hash": b"", "status": "unresolved", "substatus": "ongoing", "count": 15,
        "last_seen_at": BEFORE, "service_id": None, "assigned_to": "", "is_gone": False, "is_missing": False, **over,
    }  # fmt: skip
    return Known(**fields)


def planned(old: dict[str, Known], *items: Listed, since: datetime | None = BEFORE) -> Plan:
    return plan(old, items, now=NOW, service_of=lambda _labels: None, watched_since=since)


@pytest.mark.parametrize(
    "was, word, now, said, step",
    [
        ("unresolved", "ongoing", "unresolved", "ongoing", ""),
        ("unresolved", "ongoing", "resolved", None, "resolved"),
        ("unresolved", "ongoing", "ignored", "archived_until_escalating", "ignored"),
        ("resolved", "", "unresolved", "regressed", "regressed"),
        ("resolved", "", "unresolved", None, "regressed"),
        ("resolved", "", "unresolved", "ongoing", "regressed"),
        ("resolved", "", "ignored", None, "ignored"),
        ("ignored", "", "unresolved", "escalating", "reopened"),
        ("ignored", "", "resolved", None, "resolved"),
        ("unresolved", "ongoing", "unresolved", "regressed", "regressed"),
        ("unresolved", "regressed", "unresolved", "regressed", ""),
        ("unresolved", "regressed", "unresolved", "ongoing", ""),
    ],
)
def test_steps(was: str, word: str, now: str, said: str | None, step: str) -> None:
    assert (
        step_between(known(status=was, substatus=word), listed(status=now, substatus=said)) == step
    )


def test_reopened_by_hand_is_no_regression_when_the_server_tells_them_apart() -> None:
    item = listed(substatus="ongoing")
    assert (
        step_between(known(status="resolved", last_seen_at=item.last_seen_at), item) == "reopened"
    )


def test_unchanged_issues_make_an_empty_plan() -> None:
    item = listed()
    changes = planned({"1": known(content_hash=item.content_hash)}, item, item)
    assert (changes.entries, changes.tallies, changes.unchanged) == ((), {}, 1)


def test_nothing_is_concluded_from_an_empty_page() -> None:
    assert planned({"1": known()}) == Plan()


def test_new_events_are_tallied_in_the_hour_of_the_last_one() -> None:
    hour = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert planned({"1": known(count=15)}, listed(count="20")).tallies == {("shop", None, hour): 5}
    assert planned({"1": known(count=25)}, listed(count="20")).tallies == {}


def test_the_first_reading_tallies_only_what_the_server_tells() -> None:
    assert planned({}, listed(), since=None).tallies == {}
    told = listed(stats={"24h": [[int(BEFORE.timestamp()), 3], [int(NOW.timestamp()), 2]]})
    assert sorted(planned({}, told, since=None).tallies.values()) == [2, 3]


def test_an_issue_that_came_back_says_so() -> None:
    (entry,) = planned({"1": known(is_gone=True)}, listed()).entries
    assert entry.steps == ("returned",)


def test_our_own_word_for_a_regression_stays_where_the_server_has_none() -> None:
    (entry,) = planned({"1": known(substatus="regressed")}, listed(substatus=None)).entries
    assert (entry.substatus, entry.steps) == ("regressed", ())


STATUS = st.sampled_from(["unresolved", "resolved", "ignored"])
WORD = st.sampled_from([None, "", "new", "ongoing", "regressed", "escalating"])


@given(STATUS, WORD, STATUS, WORD, st.integers(0, 30), st.booleans())
def test_a_plan_applied_is_a_plan_done(
    was: str, word: str | None, now: str, said: str | None, count: int, away: bool
) -> None:
    """What a plan writes is exactly what makes the same list unchanged."""
    item = listed(status=now, substatus=said)
    old = known(status=was, substatus=word or "", count=count, is_gone=away)
    (entry,) = planned({"1": old}, item).entries
    written = known(
        content_hash=item.content_hash, status=item.status, substatus=entry.substatus, count=item.count,
        last_seen_at=item.last_seen_at,
    )  # fmt: skip
    assert planned({"1": written}, item).unchanged == 1
    assert step_between(written, item) == ""
    assert all(events > 0 for events in planned({"1": old}, item).tallies.values())
