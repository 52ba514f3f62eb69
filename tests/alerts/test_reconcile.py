"""The life cycle of an alert, as a table of polls: what is known, what is listed, what follows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.payloads import AlertStatus, ListedAlert, Receiver, content_hash
from alerts.plans import Closed, Known, Plan, Server
from alerts.reconcile import plan

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def listed(
    fingerprint: str = "a1", *, starts: datetime = NOW - 600 * SECOND, **over: object
) -> ListedAlert:
    fields = {"labels": {"alertname": "X"}, "endsAt": (NOW + 240 * SECOND).isoformat(), **over}
    return ListedAlert(fingerprint=fingerprint, startsAt=starts.isoformat(), **fields)  # type: ignore[arg-type]


def known(alert: ListedAlert, number: int = 1, **over: object) -> Known:
    starts_at = datetime.fromisoformat(alert.startsAt)
    fields = {"state": "firing", "expires_at": NOW - SECOND, **over}
    return Known(number, alert.fingerprint, content_hash(alert), starts_at=starts_at, **fields)  # type: ignore[arg-type]


def decide(old: list[Known], new: list[ListedAlert], **over: object) -> Plan:
    server = over.pop(
        "server", Server(streak_since=NOW - 3600 * SECOND, previous_success=NOW - 15 * SECOND)
    )
    facts = {"server": server, "now": NOW, **over}
    return plan({k.fingerprint: k for k in old}, {a.fingerprint: a for a in new}, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "field, value, is_news",
    [
        ("endsAt", (NOW + 999 * SECOND).isoformat(), False),
        ("updatedAt", NOW.isoformat(), False),
        ("labels", {"alertname": "X", "zone": "north"}, True),
        ("annotations", {"summary": "worse"}, True),
        ("generatorURL", "http://other.example/graph", True),
        ("receivers", (Receiver("night"),), True),
        ("status", AlertStatus("active", (), ("a2",)), True),
        ("starts", NOW - 700 * SECOND, True),
    ],
)
def test_a_resend_is_no_change_and_anything_else_is(field: str, value: Any, is_news: bool) -> None:
    decided = decide([known(listed())], [listed(**{field: value})])
    assert (len(decided.changed), decided.is_empty) == (is_news, not is_news)


def test_a_first_miss_is_noted_and_closes_nothing() -> None:
    decided = decide([known(listed())], [])
    assert [absence.id for absence in decided.missing] == [1]
    assert decided.resolved == ()


@pytest.mark.parametrize(
    "missing_for, expires_in, closes",
    [(15, -1, True), (15, 60, False), (0, -1, False), (900, 60, False)],
    ids=["two polls and end passed", "end not passed", "same poll", "long gone but still promised"],
)
def test_absence_closes_after_two_polls_and_the_last_end(
    missing_for: int, expires_in: int, closes: bool
) -> None:
    missing: dict[str, Any] = {
        "missing_since": NOW - missing_for * SECOND,
        "expires_at": NOW + expires_in * SECOND,
    }
    assert bool(decide([known(listed(), **missing)], []).resolved) is closes


def test_a_closed_episode_carries_its_bounds() -> None:
    times: dict[str, Any] = {
        "missing_since": NOW - 30 * SECOND,
        "last_listed_at": NOW - 45 * SECOND,
    }
    (resolution,) = decide([known(listed(), **times)], []).resolved
    assert (resolution.after, resolution.before) == (NOW - 45 * SECOND, NOW - 30 * SECOND)


BLIND = {
    "restarted": Server(started_at=NOW - 30 * SECOND, streak_since=NOW - 3600 * SECOND),
    "member down": Server(members=2, members_failed=1, streak_since=NOW - 3600 * SECOND),
    "unreadable items": Server(unreadable=1, streak_since=NOW - 3600 * SECOND),
    "settling, streak too young": Server(
        settling_since=NOW - 600 * SECOND, streak_since=NOW - 100 * SECOND
    ),
}


@pytest.mark.parametrize("server", BLIND.values(), ids=BLIND.keys())
def test_blindness_closes_nothing_by_absence(server: Server) -> None:
    decided = decide([known(listed(), missing_since=NOW - 300 * SECOND)], [], server=server)
    assert decided.resolved == ()
    assert decided.settling


@pytest.mark.parametrize("ago, is_blind", [(0, True), (239, True), (240, False), (-9, False)])
def test_an_alertmanager_is_refilled_for_four_minutes(ago: int, is_blind: bool) -> None:
    server = Server(started_at=NOW - ago * SECOND, streak_since=NOW - 3600 * SECOND)
    decided = decide([known(listed(), missing_since=NOW - 300 * SECOND)], [], server=server)
    assert (decided.resolved == (), bool(decided.settling)) == (is_blind, is_blind)


@pytest.mark.parametrize(
    "absent_for, seen_for, ends",
    [(240, 480, True), (239, 480, False), (480, 240, True), (480, 239, False)],
)
def test_settling_ends_when_the_absence_held_through_four_minutes_of_polls(
    absent_for: int, seen_for: int, ends: bool
) -> None:
    server = Server(settling_since=NOW - 480 * SECOND, streak_since=NOW - seen_for * SECOND)
    gone = known(listed(), missing_since=NOW - absent_for * SECOND)
    decided = decide([gone], [], server=server)
    assert [r.id for r in decided.resolved] == ([1] if ends else [])
    assert (decided.settling == "") is ends


@pytest.mark.parametrize("gone, settles", [(11, True), (10, False)], ids=["more than half", "half"])
def test_a_mass_drop_settles(gone: int, settles: bool) -> None:
    alerts = [listed(f"f{n}") for n in range(20)]
    old = [known(alert, n) for n, alert in enumerate(alerts)]
    decided = decide(old, alerts[gone:])
    assert bool(decided.settling) is settles
    assert len(decided.missing) == gone


def test_a_missing_watchdog_keeps_what_it_covers() -> None:
    gone = known(listed(), missing_since=NOW - 300 * SECOND, labels={"cluster": "eu"})
    assert decide([gone], [], covered=lambda labels: labels.get("cluster") == "eu").resolved == ()


def test_a_return_clears_the_miss() -> None:
    alert = listed()
    decided = decide([known(alert, missing_since=NOW - 15 * SECOND)], [alert])
    assert [episode.id for episode in decided.returned] == [1]


def test_suppression_is_a_change() -> None:
    silenced = listed(status=AlertStatus("suppressed", ("s1",)))
    assert len(decide([known(listed())], [silenced]).changed) == 1


def test_a_new_start_long_after_the_last_sight_is_a_new_episode() -> None:
    old = known(listed(starts=NOW - 7200 * SECOND))
    again = listed(starts=NOW - 60 * SECOND)
    server = Server(previous_success=NOW - 3600 * SECOND, streak_since=NOW)
    decided = decide([old], [again], server=server)
    assert (len(decided.resolved), len(decided.opened), len(decided.changed)) == (1, 1, 0)
    assert decided.resolved[0].before == NOW - 60 * SECOND


@pytest.mark.parametrize(
    "by_poll, closed_ago, expected",
    [
        (True, 60, "reopened"),
        (True, 61, "opened"),
        (False, 30, "opened"),
        (False, -1, "neither"),
    ],
    ids=["by absence", "by absence, long ago", "by webhook", "webhook overtook the list"],
)
def test_firing_again_soon(by_poll: bool, closed_ago: int, expected: str) -> None:
    closed = {"a1": Closed(7, "a1", NOW - closed_ago * SECOND, by_poll)}
    decided = decide([], [listed()], closed=closed, local_fetch_began=NOW)
    assert (len(decided.reopened), len(decided.opened)) == {
        "reopened": (1, 0), "opened": (0, 1), "neither": (0, 0)}[expected]  # fmt: skip


def test_the_memory_of_the_last_end_wins_over_the_stored_one() -> None:
    far = int((NOW + 3600 * SECOND).timestamp())
    (absence,) = decide([known(listed())], [], memory={"a1": far}).missing
    assert absence.expires_at == NOW + 3600 * SECOND


def test_without_memory_the_end_is_assumed_as_if_resent_at_the_last_sight() -> None:
    refreshed: dict[str, Any] = {
        "refreshed_at": NOW - 900 * SECOND,
        "expires_at": NOW - 660 * SECOND,
    }
    (absence,) = decide([known(listed(), **refreshed)], []).missing
    assert absence.expires_at == NOW - 15 * SECOND + 240 * SECOND


@given(
    present=st.sets(st.integers(0, 9)), stored=st.sets(st.integers(0, 9)), settling=st.booleans()
)
def test_every_fingerprint_is_planned_at_most_once(
    present: set[int], stored: set[int], settling: bool
) -> None:
    server = Server(
        settling_since=NOW if settling else None, streak_since=NOW, previous_success=NOW
    )
    decided = decide(
        [
            known(listed(f"f{n}"), n, missing_since=NOW - 300 * SECOND if n % 2 else None)
            for n in stored
        ],
        [listed(f"f{n}") for n in present],
        server=server,
    )
    assert {alert.fingerprint for alert in decided.opened} == {f"f{n}" for n in present - stored}
    assert {r.id for r in decided.resolved} | {m.id for m in decided.missing} <= stored - present
    assert not (settling and decided.resolved)
