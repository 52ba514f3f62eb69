"""What targets and firing rules say of a service, as tables."""

from typing import Any

import pytest

from monitoring.payloads import ActiveTarget, RuleAlert
from monitoring.reconcile import KnownTarget, Verdict, judge, plan_targets

URL = "http://10.0.0.1:9100/metrics"


def target(health: str = "up", *, url: str = URL, **labels: str) -> ActiveTarget:
    error = "connection refused" if health == "down" else ""
    return ActiveTarget({"job": "api", "instance": "a", **labels}, url, health, "api", error)


def firing(**labels: str) -> RuleAlert:
    return RuleAlert({"job": "api", "alertname": "Slow", **labels}, "firing")


def service_of(labels: Any) -> int | None:
    return {"api": 1}.get(labels.get("job", ""))


UP, DOWN, NEW = target(), target("down", instance="b"), target("unknown")


@pytest.mark.parametrize(
    "targets, alerts, verdict",
    [
        ([UP, UP], [], Verdict("up", "", 2, 0)),
        ([DOWN], [], Verdict("down", "Its only target is down: connection refused.", 0, 1)),
        ([DOWN, DOWN], [], Verdict("down", "All 2 targets are down: connection refused.", 0, 2)),
        ([UP, DOWN], [], Verdict("degraded", "1 of 2 targets are down, among them b.", 1, 1)),
        ([DOWN, NEW], [], Verdict("down", "Its only target is down: connection refused.", 0, 1)),
        ([NEW], [], Verdict("unknown", "Its targets have not been scraped yet.", 0, 0)),
        ([UP], [firing(severity="critical")], Verdict("degraded", "Firing: Slow.", 1, 0)),
        ([UP], [firing(severity="PAGE")], Verdict("degraded", "Firing: Slow.", 1, 0)),
        ([UP], [firing(severity="warning")], Verdict("up", "", 1, 0)),
        ([], [firing(severity="critical")], Verdict("degraded", "Firing: Slow.", 0, 0)),
        ([UP], [firing(severity="critical", job="other")], Verdict("up", "", 1, 0)),
    ],
)
def test_a_verdict(targets: list[ActiveTarget], alerts: list[RuleAlert], verdict: Verdict) -> None:
    assert judge(targets, alerts, service_of=service_of) == {1: verdict}


def known(**over: Any) -> dict[tuple[str, str], KnownTarget]:
    facts = {"health": "up", "error": "", "service_id": 1, "labels": dict(UP.labels), **over}
    return {("api", URL): KnownTarget(7, **facts)}


@pytest.mark.parametrize(
    "stored, seen, new, changed, gone",
    [
        ({}, [UP, UP], 1, 0, ()),
        (known(), [UP], 0, 0, ()),
        (known(health="down"), [UP], 0, 1, ()),
        (known(service_id=None), [UP], 0, 1, ()),
        (known(labels={}), [UP], 0, 1, ()),
        (known(), [], 0, 0, (7,)),
        (known(), [target(url="http://moved/metrics")], 1, 0, (7,)),
    ],
    ids=["new, twice", "same", "health", "service", "labels", "gone", "moved"],
)
def test_a_plan_holds_only_what_differs(
    stored: Any, seen: list[ActiveTarget], new: int, changed: int, gone: tuple[int, ...]
) -> None:
    plan = plan_targets(stored, seen, service_of=service_of)
    assert (len(plan.new), len(plan.changed), plan.gone) == (new, changed, gone)
    assert plan.is_empty is not bool(new or changed or gone)


def test_nothing_is_gone_while_some_could_not_be_read() -> None:
    assert plan_targets(known(), [], service_of=service_of, complete=False).is_empty
