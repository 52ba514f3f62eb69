"""What parallel requests must not win: more guesses than the limit, or one code twice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from security import factors
from tests.conftest import Trail
from tests.locks import somebody_waits
from tests.security.builders import (
    CODE,
    actions,
    code_now,
    fresh_code,
    make_enrolled,
    make_recovery_codes,
    password_step,
)
from tests.security.test_login import counted_hashes
from tests.stack import until

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "autocommit"])


def in_parallel(work: Callable[[], Any], times: int) -> list[Any]:
    def once(_number: int) -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(once, range(times)))


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_sixty_parallel_guesses_compute_five_hashes(
    name: str, monkeypatch: pytest.MonkeyPatch, trail: Trail
) -> None:
    make_enrolled("alice")
    hashes = counted_hashes(monkeypatch)
    statuses = in_parallel(lambda: password_step(Client(), name, "guess").status_code, 60)
    assert len(hashes) == 5
    assert sorted(set(statuses)) == [302, 429]
    assert statuses.count(302) == 5
    assert actions(trail).count("ratelimit.exceeded") == 2  # the pair, then the address


def test_one_code_is_spent_once_by_twenty() -> None:
    user = make_enrolled()
    code = code_now()
    spent = in_parallel(lambda: factors.spend_totp(user.pk, code), 20)
    assert sum(device is not None for device in spent) == 1


def test_one_recovery_code_is_spent_once_by_twenty() -> None:
    user = make_enrolled()
    code = make_recovery_codes(user)[3]
    spent = in_parallel(lambda: factors.spend_recovery_code(user.pk, code), 20)
    assert sum(device is not None for device in spent) == 1


def test_a_recovery_code_that_somebody_is_spending_is_waited_for_and_then_spent(
    another_connection: Any,
) -> None:
    user = make_enrolled()
    code = make_recovery_codes(user)[3]
    another_connection.execute("BEGIN")
    another_connection.execute("UPDATE security_recoverycode SET used_at = now()")
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(in_parallel, lambda: factors.spend_recovery_code(user.pk, code), 1)
        until(somebody_waits, "nobody waits")
        another_connection.execute("COMMIT")
        assert late.result(30) == [None]


def test_a_code_that_was_used_to_sign_in_does_not_do_so_again() -> None:
    user = make_enrolled()
    code = fresh_code(user)
    locations = []
    for _ in range(2):
        client = Client()
        password_step(client)
        client.post(CODE, {"code": code})
        locations.append(client.get("/admin/").status_code)
    assert locations == [200, 302]


def test_codes_are_limited_across_addresses(trail: Trail) -> None:
    make_enrolled()
    statuses = []
    for number in range(12):
        client = Client(REMOTE_ADDR=f"192.0.2.{number}")
        password_step(client)
        statuses.append(client.post(CODE, {"code": "000000"}).status_code)
    assert statuses == [200] * 10 + [429] * 2
    assert actions(trail).count("mfa.failed") == 10
