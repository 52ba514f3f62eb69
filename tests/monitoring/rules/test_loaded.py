"""What a poll of Prometheus says of our rules."""

import pytest

from monitoring.payloads import AlertingRule
from monitoring.rules.loaded import Change, Known, changes

PAGE = {"severity": "page"}


def seen(name: str, state: str = "inactive", **over: object) -> AlertingRule:
    return AlertingRule(name=name, state=state, **over)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "rules, expected",
    [
        ([], []),
        ([seen("Slow")], []),
        ([seen("Slow", labels=PAGE)], [Change(1, "inactive", "")]),
        ([seen("Slow", "firing", labels=PAGE)], [Change(1, "firing", "")]),
        ([seen("Slow", "x", labels=PAGE, health="err", lastError="bad")], [Change(1, "broken", "bad")]),
        ([seen("Slow", state, labels=PAGE) for state in ("firing", "inactive")], [Change(1, "firing", "")]),
    ],
    ids=["not loaded", "another severity", "inactive", "firing", "broken", "the worst of two"],
)  # fmt: skip
def test_a_rule_is_found_by_name_and_severity(
    rules: list[AlertingRule], expected: list[Change]
) -> None:
    assert changes([Known(1, "Slow", "page", "", "")], rules) == expected


def test_what_was_known_is_no_change_and_what_is_gone_is_one() -> None:
    known = [Known(1, "A", "", "firing", ""), Known(2, "B", "", "firing", "")]
    assert changes(known, [seen("A", "firing")]) == [Change(2, "", "")]
