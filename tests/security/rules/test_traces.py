"""The rules over two public traces; the expected sets are counted here in another way."""

from collections import defaultdict

import pytest

from security.rules.engine import RULES, run
from security.rules.events import Event, Kind
from tests.security.rules.traces import sshd, trace, web

SETTINGS = {rule.id: rule.defaults for rule in RULES.values()}


def found(events: list[Event], rule: str) -> set[str]:
    return {finding.subject for finding in run(events, SETTINGS) if finding.rule == rule}


def bursts(times: list[float], count: int, seconds: float) -> bool:
    """True when `count` consecutive moments lie within `seconds`."""
    ordered = sorted(times)
    return any(
        later - at <= seconds for at, later in zip(ordered, ordered[count - 1 :], strict=False)
    )


@pytest.fixture(scope="module")
def signins() -> list[Event]:
    return list(sshd(trace("auth.log")))


@pytest.fixture(scope="module")
def requests() -> list[Event]:
    return sorted(web(trace("apache_logs")), key=lambda event: event.at)


def test_the_adapter_reads_every_attempt(signins: list[Event]) -> None:
    failed = [event for event in signins if event.kind is Kind.LOGIN_FAILED]
    assert (len(failed), len(signins) - len(failed)) == (1038, 226)
    assert len({event.address for event in failed}) == 105


def test_brute_force_is_found_at_eleven_addresses(signins: list[Event]) -> None:
    failures = defaultdict(list)
    for event in signins:
        if event.kind is Kind.LOGIN_FAILED:
            failures[event.address].append(event.at)
    expected = {a for a, t in failures.items() if bursts(t, 8, 120) or bursts(t, 20, 3600)}
    assert found(signins, "brute_force_address") == expected
    assert len(expected) == 11
    assert "24.151.103.17" in expected


def test_two_accounts_were_guessed_at_and_one_of_them_was_opened(signins: list[Event]) -> None:
    assert found(signins, "brute_force_account") == {"elastic_user_0", "root"}
    assert found(signins, "success_after_attack") == {"elastic_user_0"}
    assert found(signins, "credential_stuffing") == set()


def test_one_of_1753_benign_visitors_looks_like_a_scanner(requests: list[Event]) -> None:
    assert found(requests, "scanner") == {"144.76.95.39"}
    assert len(requests) == 220 + sum(event.status < 400 for event in requests)


def test_no_benign_visitor_looks_like_an_attacker_by_patterns(requests: list[Event]) -> None:
    by_address = defaultdict(list)
    for event in requests:
        if event.signal:
            by_address[event.address].append(event.at)
    assert sum(map(len, by_address.values())) == 39
    assert not any(bursts(times, 8, 120) for times in by_address.values())
    assert all("attack patterns" not in finding.sentence for finding in run(requests, SETTINGS))
