"""Members of a cluster merged, in whatever order they answered."""

from typing import Any

import pytest

from alerts.cluster import union
from alerts.payloads import AlertStatus, ListedAlert, Receiver

EARLY, LATE = "2026-03-01T10:00:00.000Z", "2026-03-01T11:00:00.000Z"
ACTIVE = AlertStatus("active")


def listed(fingerprint: str = "a1", **over: Any) -> ListedAlert:
    facts = {
        "labels": {"alertname": "X"},
        "startsAt": EARLY,
        "endsAt": EARLY,
        "updatedAt": EARLY,
        **over,
    }
    return ListedAlert(fingerprint=fingerprint, **facts)


def quiet(*, silenced: tuple[str, ...] = (), inhibited: tuple[str, ...] = ()) -> AlertStatus:
    return AlertStatus("suppressed", silenced, inhibited)


@pytest.mark.parametrize(
    "one, other, field, merged",
    [
        ({"startsAt": EARLY}, {"startsAt": LATE}, "startsAt", EARLY),
        ({"endsAt": EARLY, "updatedAt": LATE}, {"endsAt": LATE}, "endsAt", LATE),
        ({"status": ACTIVE}, {"status": quiet(silenced=("s",)), "updatedAt": LATE}, "status", ACTIVE),
        ({"status": quiet(silenced=("s2",))}, {"status": quiet(silenced=("s1",), inhibited=("a",))}, "status",
         quiet(silenced=("s1", "s2"), inhibited=("a",))),
        ({"annotations": {"n": "old"}}, {"annotations": {"n": "new"}, "updatedAt": LATE}, "annotations", {"n": "new"}),
        ({"receivers": (Receiver("b"),)}, {"receivers": (Receiver("a"),)}, "receivers", (Receiver("a"), Receiver("b"))),
    ],
)  # fmt: skip
def test_two_members_are_one_whoever_answers_first(
    one: dict[str, Any], other: dict[str, Any], field: str, merged: Any
) -> None:
    for lists in ([listed(**one)], [listed(**other)]), ([listed(**other)], [listed(**one)]):
        (alert,) = union(lists).values()
        assert getattr(alert, field) == merged


def test_what_one_member_has_not_heard_of_is_kept() -> None:
    found = union([[listed("a1"), listed("a1")], [], [listed("a2")]])
    assert sorted(found) == ["a1", "a2"]
