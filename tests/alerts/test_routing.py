"""Decisions about notifications, as tables: which routes, which group, send or not, and why."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import routing
from alerts.routing import Budget, Entry, Fit, GroupState, QuietHours, Reason, RoutingRule
from portal.core.matchers import parse

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def rule(number: int, *matchers: str, **over: object) -> RoutingRule:
    return RoutingRule(number, f"route-{number}", tuple(map(parse, matchers)), **over)  # type: ignore[arg-type]


CRITICAL = rule(1, 'severity="critical"')
TEAM = rule(2, 'team=~"pay.*"', goes_on=True)
NOT_INFO = rule(3, 'severity!="info"')
NOT_DEV = rule(4, 'env!~"dev|test"')
ALL = rule(9)


@pytest.mark.parametrize(
    "rules, labels, found",
    [
        ([CRITICAL, ALL], {"severity": "critical"}, [1]),
        ([CRITICAL, ALL], {"severity": "warning"}, [9]),
        ([TEAM, CRITICAL, ALL], {"team": "payments", "severity": "critical"}, [2, 1]),
        ([TEAM, CRITICAL, ALL], {"team": "payments"}, [2, 9]),
        ([NOT_INFO, ALL], {"severity": "info"}, [9]),
        ([NOT_INFO], {"severity": "info"}, []),
        ([NOT_INFO], {}, [3]),
        ([NOT_DEV, ALL], {"env": "test"}, [9]),
        ([NOT_DEV, ALL], {"env": "testing"}, [4]),
        ([rule(5, 'a="1"', 'b="2"')], {"a": "1", "b": "3"}, []),
        ([], {"severity": "critical"}, []),
    ],
)
def test_the_first_match_wins_unless_it_goes_on(
    rules: list[RoutingRule], labels: dict[str, str], found: list[int]
) -> None:
    assert [found.id for found in routing.Routes(rules).matching(labels)] == found


@given(
    st.lists(st.tuples(st.sampled_from([CRITICAL, TEAM, NOT_INFO, NOT_DEV, ALL]), st.booleans())),
    st.dictionaries(st.sampled_from(["severity", "team", "env"]), st.sampled_from(["", "critical", "payments", "dev"])),
)  # fmt: skip
def test_what_matches_is_what_a_walk_finds_matched(
    drawn: list[tuple[RoutingRule, bool]], labels: dict[str, str]
) -> None:
    rules = [replace(one, goes_on=goes_on) for one, goes_on in drawn]
    walked = [looked.rule for looked in routing.walk(rules, labels) if looked.fit is Fit.MATCHED]
    assert routing.Routes(rules).matching(labels) == walked


def test_a_walk_names_the_matcher_that_said_no() -> None:
    looked = routing.walk([CRITICAL, NOT_INFO, ALL], {"severity": "warning"})
    assert [(line.rule.id, line.fit, str(line.failed)) for line in looked] == [
        (1, Fit.MISMATCH, 'severity="critical"'),
        (3, Fit.MATCHED, "None"),
        (9, Fit.NOT_REACHED, "None"),
    ]


@pytest.mark.parametrize(
    "group_by, same",
    [((), True), (("alertname",), True), (("alertname", "host"), False), (("...",), False), (("absent",), True)],
)  # fmt: skip
def test_groups(group_by: tuple[str, ...], same: bool) -> None:
    made = [
        routing.group_key(routing.group_labels(rule(1, group_by=group_by), labels))
        for labels in ({"alertname": "A", "host": "1"}, {"alertname": "A", "host": "2"})
    ]
    assert (made[0] == made[1]) is same


def ids(*numbers: int) -> frozenset[int]:
    return frozenset(numbers)


def entry(ago: timedelta, firing: frozenset[int], resolved: frozenset[int] = ids()) -> Entry:
    return Entry(NOW - ago, firing, resolved)


@pytest.mark.parametrize(
    "told, group, send, reason",
    [
        (None, GroupState(ids(1)), True, Reason.FIRST),
        (None, GroupState(ids(), ids(1)), False, Reason.NEVER_ANNOUNCED),
        (entry(HOUR, ids(), ids()), GroupState(ids(1)), True, Reason.FIRST),
        (entry(HOUR, ids(1)), GroupState(ids(1)), False, Reason.NOT_YET),
        (entry(HOUR, ids(1)), GroupState(ids(1, 2)), True, Reason.NEW_FIRING),
        (entry(HOUR, ids(1, 2)), GroupState(ids(1)), False, Reason.NOT_YET),
        (entry(HOUR, ids(1)), GroupState(ids(1), changed=ids(1)), True, Reason.SEVERITY),
        (
            entry(HOUR, ids(1)),
            GroupState(ids(1), acknowledged=ids(1), changed=ids(1)),
            True,
            Reason.SEVERITY,
        ),
        (entry(HOUR, ids(1)), GroupState(ids(), ids(1), changed=ids(1)), True, Reason.ALL_RESOLVED),
        (None, GroupState(ids(1), changed=ids(1)), True, Reason.FIRST),
        (entry(HOUR, ids(1)), GroupState(ids(), ids(1)), True, Reason.ALL_RESOLVED),
        (entry(HOUR, ids(1)), GroupState(ids(), ids(2)), False, Reason.NEVER_ANNOUNCED),
        (entry(HOUR, ids(), ids(1)), GroupState(ids(), ids(1)), False, Reason.NEVER_ANNOUNCED),
        (entry(HOUR, ids(), ids(1)), GroupState(ids(1)), True, Reason.NEW_FIRING),
        (entry(HOUR, ids(1, 2)), GroupState(ids(1), ids(2)), True, Reason.SOME_RESOLVED),
        (entry(HOUR, ids(1), ids(2)), GroupState(ids(1), ids(2)), False, Reason.NOT_YET),
        (entry(HOUR, ids(1)), GroupState(ids()), False, Reason.NOTHING_NEW),
        (entry(4 * HOUR, ids(1)), GroupState(ids(1)), True, Reason.REPEAT),
        (
            entry(4 * HOUR, ids(1)),
            GroupState(ids(1), acknowledged=ids(1)),
            False,
            Reason.ACKNOWLEDGED,
        ),
        (
            entry(4 * HOUR, ids(1, 2)),
            GroupState(ids(1, 2), acknowledged=ids(1)),
            True,
            Reason.REPEAT,
        ),
        (
            entry(HOUR, ids(1)),
            GroupState(ids(1, 2), acknowledged=ids(1, 2)),
            True,
            Reason.NEW_FIRING,
        ),
    ],
)
def test_whether_a_channel_is_told(
    told: Entry | None, group: GroupState, send: bool, reason: Reason
) -> None:
    decision = routing.decide(
        told, group, send_resolved=True, repeat_interval=4 * HOUR, now=NOW
    )  # fmt: skip
    assert (decision.send, decision.reason) == (send, reason)


@pytest.mark.parametrize(
    "told, group, reason",
    [
        (entry(HOUR, ids(1)), GroupState(ids(), ids(1)), Reason.RESOLVED_OFF),
        (entry(HOUR, ids(1, 2)), GroupState(ids(1), ids(2)), Reason.NOT_YET),
    ],
)
def test_without_send_resolved_an_end_is_not_said(
    told: Entry, group: GroupState, reason: Reason
) -> None:
    decision = routing.decide(told, group, send_resolved=False, repeat_interval=4 * HOUR, now=NOW)
    assert (decision.send, decision.reason) == (False, reason)


SETS = st.frozensets(st.integers(1, 6))


@given(SETS, SETS, SETS, SETS, st.integers(0, 10), st.booleans())
def test_a_decision_is_final_until_something_changes(
    told: frozenset[int], over: frozenset[int], firing: frozenset[int], resolved: frozenset[int],
    hours: int, send_resolved: bool,
) -> None:  # fmt: skip
    """Whoever was told this moment is not told the same again, whatever the state was."""
    group = GroupState(firing, resolved - firing)
    options = {"send_resolved": send_resolved, "repeat_interval": 4 * HOUR, "now": NOW}
    before = Entry(NOW - hours * HOUR, told, over)
    if routing.decide(before, group, **options).send:  # type: ignore[arg-type]
        said = group.resolved & before.firing if send_resolved else frozenset()
        after = Entry(NOW, group.firing, said)
        assert not routing.decide(after, group, **options).send or not after.firing | after.resolved  # type: ignore[arg-type]


NIGHT = QuietHours(time(22), time(7))
SHIFTED = QuietHours(time(22), time(7), "Europe/Paris")


@pytest.mark.parametrize(
    "quiet, now, ends",
    [
        (None, "2026-03-04T23:00", None),
        (NIGHT, "2026-03-04T21:59", None),
        (NIGHT, "2026-03-04T22:00", "2026-03-05T07:00"),
        (NIGHT, "2026-03-05T06:59", "2026-03-05T07:00"),
        (NIGHT, "2026-03-05T07:00", None),
        (SHIFTED, "2026-03-04T21:30", "2026-03-05T06:00"),
        (SHIFTED, "2026-03-29T00:30", "2026-03-29T05:00"),  # the night summer time begins
        (QuietHours(time(12), time(13)), "2026-03-04T12:30", "2026-03-04T13:00"),
        (QuietHours(time(12), time(12)), "2026-03-04T12:30", None),
    ],
)
def test_quiet_hours(quiet: QuietHours | None, now: str, ends: str | None) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    expected = datetime.fromisoformat(ends).replace(tzinfo=UTC) if ends else None
    assert routing.quiet_until(quiet, moment) == expected


@pytest.mark.parametrize(
    "ago, room_in",
    [([], None), ([1], None), ([1, 2], 8), ([1, 9], 1), ([1, 11], None), ([0, 0, 5], 10)],
)
def test_a_budget_has_room_again_when_its_window_moves_on(
    ago: list[int], room_in: int | None
) -> None:
    budget = Budget(2, timedelta(minutes=10))
    sent = [NOW - timedelta(minutes=minutes) for minutes in ago]
    expected = NOW + timedelta(minutes=room_in) if room_in is not None else None
    assert routing.room_at(budget, sent, NOW) == expected
