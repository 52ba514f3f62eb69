"""Each rule at its threshold: one event less finds nothing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from security.rules.engine import RULES, Engine, longest_window_seconds, run
from security.rules.events import Event, Kind, network_of, source_of
from security.rules.finding import severity
from security.rules.windows import Windows

SETTINGS = {rule.id: rule.defaults for rule in RULES.values()}


def at(id_: int, kind: Kind, *, second: float | None = None, **over: Any) -> Event:
    facts: dict[str, Any] = {"address": "192.0.2.7", "account": "user:1", "name": "ada", **over}
    return Event(id_, float(id_ if second is None else second), kind, **facts)


def failures(count: int, *, step: float = 1) -> list[Event]:
    return [at(n, Kind.LOGIN_FAILED, second=n * step) for n in range(count)]


def stuffing(count: int) -> list[Event]:
    return [at(n, Kind.LOGIN_FAILED, second=n * 20, account=f"name:{n}") for n in range(count)]


def attack_then_success(count: int) -> list[Event]:
    return [*failures(count, step=60), at(99, Kind.LOGIN_SUCCEEDED, second=count * 60)]


def codes(count: int) -> list[Event]:
    return [at(n, Kind.CODE_FAILED) for n in range(count)]


def codes_of_many(count: int) -> list[Event]:
    return [at(n, Kind.CODE_FAILED, account=f"user:{n}") for n in range(count)]


def exports(count: int) -> list[Event]:
    return [at(n, Kind.EXPORTED) for n in range(count)]


def rows(count: int) -> list[Event]:
    return [at(1, Kind.EXPORTED, number=count)]


def refused(count: int) -> list[Event]:
    return [at(n, Kind.REFUSED, status=403, path="/same/") for n in range(count)]


def missing(count: int) -> list[Event]:
    return [at(n, Kind.REFUSED, status=404, path=f"/{n}/") for n in range(count)]


def attacks(count: int) -> list[Event]:
    return [at(n, Kind.SUSPICIOUS, signal="sqli", path="/") for n in range(count)]


def token(count: int) -> list[Event]:
    return [at(n, Kind.TOKEN_CLIENT, token="3", signal="network") for n in range(count)]


CASES: list[tuple[str, Callable[[int], list[Event]], int, str]] = [
    ("brute_force_address", failures, 8, "192.0.2.7"),
    ("brute_force_address", lambda n: failures(n, step=150), 20, "192.0.2.7"),
    ("brute_force_account", lambda n: failures(n, step=3600), 10, "1"),
    ("credential_stuffing", stuffing, 15, "192.0.2.7"),
    ("success_after_attack", attack_then_success, 5, "1"),
    ("second_factor_guessing", codes, 5, "1"),
    ("second_factor_guessing", codes_of_many, 20, "192.0.2.7"),
    ("token_new_client", token, 1, "3"),
    ("mass_export", exports, 10, "1"),
    ("mass_export", rows, 500_000, "1"),
    ("scanner", refused, 14, "192.0.2.7"),
    ("scanner", missing, 10, "192.0.2.7"),
    ("scanner", attacks, 8, "192.0.2.7"),
]


@pytest.mark.parametrize("rule, make, threshold, subject", CASES)
def test_a_rule_finds_at_its_threshold_and_not_before(
    rule: str, make: Callable[[int], list[Event]], threshold: int, subject: str
) -> None:
    only = {rule: SETTINGS[rule]}
    assert run(make(threshold - 1), only) == []
    (finding,) = run(make(threshold), only)
    assert (finding.rule, finding.subject) == (rule, subject)
    assert 40 <= finding.score <= 100
    assert finding.evidence
    assert finding.sentence.endswith(".")


@pytest.mark.parametrize(("rule", "events", "count", "_subject"), CASES)
def test_a_finding_concerns_the_services_that_what_was_counted_names(
    rule: str, events: Callable[[int], list[Event]], count: int, _subject: str
) -> None:
    named = [
        replace(event, service=("shop", "", "basket")[n % 3])
        for n, event in enumerate(events(count))
    ]
    (found,) = [f for f in run(named, SETTINGS) if f.rule == rule]
    assert found.services == (("basket", "shop") if len(named) > 2 else ("shop",))


def test_findings_of_a_subject_concern_the_services_of_all() -> None:
    early = [replace(event, service="shop") for event in exports(10)]
    late = [
        at(n, Kind.EXPORTED, second=n * 1e5 + 1e6, number=5e5, service="till") for n in (20, 21)
    ]
    assert run([*early, *late], SETTINGS)[0].services == ("shop", "till")


def test_failures_spread_over_more_than_the_windows_are_nothing() -> None:
    assert run(failures(60, step=300), {"brute_force_address": {}}) == []


def test_one_path_that_is_missing_is_no_scan_however_often_it_is_asked_for() -> None:
    events = [at(n, Kind.REFUSED, status=404, path="/favicon.ico") for n in range(13)]
    assert run(events, {"scanner": SETTINGS["scanner"]}) == []


def test_a_refusal_by_the_rate_limit_weighs_three_failures() -> None:
    events = [*failures(5), at(9, Kind.LOGIN_LIMITED, account="")]
    (finding,) = run(events, {"brute_force_address": {}})
    assert finding.counts["failures"] == 8


def test_an_ipv6_attacker_cannot_hide_in_its_own_network() -> None:
    events = [at(n, Kind.LOGIN_FAILED, address=f"2001:db8::{n:x}") for n in range(8)]
    (finding,) = run(events, {"brute_force_address": {}})
    assert finding.subject == "2001:db8::/64"


def test_an_office_behind_one_address_is_no_stuffing() -> None:
    known = [at(n, Kind.LOGIN_SUCCEEDED, account=f"user:{n}") for n in range(30)]
    typos = [at(99 + n, Kind.LOGIN_FAILED, account=f"user:{n}") for n in range(30)]
    only = {"credential_stuffing": SETTINGS["credential_stuffing"]}
    assert run([*known, *typos], only) == []
    assert run(typos, only) != []


def test_a_success_is_judged_by_the_attack_on_its_address_and_on_its_account() -> None:
    other_account = at(50, Kind.LOGIN_SUCCEEDED, account="user:2", name="bob")
    (by_address,) = [
        f for f in run([*failures(8), other_account], SETTINGS) if f.rule == "success_after_attack"
    ]
    assert (by_address.subject, by_address.score) == ("2", 90)
    late = at(51, Kind.LOGIN_SUCCEEDED, second=8 * 3600)
    assert all(f.rule != "success_after_attack" for f in run([*failures(8), late], SETTINGS))


def test_two_places_at_once_are_worse_than_a_move() -> None:
    moved = at(1, Kind.TOKEN_CLIENT, token="3", signal="network", number=86_400)
    at_once = at(1, Kind.TOKEN_CLIENT, token="3", signal="network+client", number=30)
    assert [f.score for f in run([moved], SETTINGS)] == [50]
    assert [severity(f.score) for f in run([at_once], SETTINGS)] == ["critical"]


def test_history_written_afterwards_is_left_out() -> None:
    engine = Engine(SETTINGS)
    engine.feed(at(1, Kind.LOGIN_FAILED, second=100_000))
    assert [engine.feed(event) for event in failures(20)] == [[]] * 20
    assert engine.skipped == 20


def test_a_rule_that_is_off_finds_nothing() -> None:
    assert run(failures(100), {"scanner": {}}) == []


def test_the_longest_window_is_what_a_new_engine_is_fed() -> None:
    assert longest_window_seconds(SETTINGS) == 24 * 3600
    assert longest_window_seconds({"scanner": {"refused_seconds": 300}}) == 300


def test_many_keys_do_not_fill_the_memory() -> None:
    windows = Windows(60, max_keys=10)
    for number in range(1000):
        windows.add(number, at(number, Kind.LOGIN_FAILED, second=0))
    assert len(windows._events) == 10
    assert len(windows.get(999, at=0)) == 1


@given(
    st.lists(
        st.tuples(st.floats(0, 10_000), st.sampled_from(list(Kind)), st.integers(0, 3)), max_size=80
    )
)
@example([(1.0, Kind.LOGIN_LIMITED, 1), (0.0, Kind.LOGIN_LIMITED, 1), (0.0, Kind.LOGIN_LIMITED, 1)])
def test_any_events_in_any_order_give_bounded_findings(
    facts: list[tuple[float, Kind, int]],
) -> None:
    events = [
        at(
            n,
            kind,
            second=second,
            address=f"192.0.2.{who}",
            account=f"user:{who}",
            status=404,
            path=f"/{n}",
        )
        for n, (second, kind, who) in enumerate(facts)
    ]
    for finding in run(events, SETTINGS):
        assert 0 <= finding.score <= 100
        assert finding.first_at <= finding.last_at
        assert set(finding.evidence) <= {event.id for event in events}
        assert len(finding.evidence) <= 50


@pytest.mark.parametrize(
    "address, source, network",
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.0/24"),
        ("2001:db8::7", "2001:db8::/64", "2001:db8::/64"),
        ("", "", ""),
        ("garbage", "garbage", ""),
        ("::garbage::", "", ""),
    ],
)
def test_addresses_are_grouped(address: str, source: str, network: str) -> None:
    assert (source_of(address), network_of(address)) == (source, network)
