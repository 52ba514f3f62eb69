"""Signing in through the real door: two steps, one error, nothing told apart."""

import re
import time
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.test import Client

from security import limits, signin
from security.models import TotpDevice
from tests.conftest import Trail
from tests.security.builders import (
    CODE,
    INDEX,
    LOGIN,
    PASSWORD,
    SEED,
    actions,
    code_now,
    make_enrolled,
    make_recovery_codes,
    make_user,
    password_step,
    sign_in,
    signed_in,
)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "autocommit"])


def counted_hashes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by one with every password hash computed, in any thread."""
    hashes: list[int] = []
    encode = MD5PasswordHasher.encode

    def counting(*args: Any) -> str:
        hashes.append(1)
        return encode(*args)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counting)
    return hashes


def shape(response: Any) -> tuple[int, str]:
    """Return status and body without what differs by request: CSRF tokens and nonces."""
    text = re.sub(r'value="[0-9A-Za-z]{64}"|nonce="[^"]*"', "", response.content.decode())
    return response.status_code, text


def test_password_and_code_open_the_admin(client: Client, trail: Trail) -> None:
    make_enrolled()
    first = password_step(client)
    assert (first.status_code, first["Location"]) == (302, CODE)
    assert client.get(INDEX).status_code == 302
    assert client.post(CODE, {"code": code_now()})["Location"] == INDEX
    assert client.get(INDEX).status_code == 200
    expected = ["auth.password_accepted", "mfa.verified", "auth.login_succeeded"]
    assert [a for a in actions(trail) if a.startswith(("auth.", "mfa."))] == expected
    last = trail()[-1]
    assert (last.actor_name, last.auth_factors) == ("alice", ["password", "otp"])


@pytest.mark.parametrize("case", ["unknown", "wrong password", "inactive", "no staff", "bad code"])
def test_every_failure_looks_the_same_at_both_steps(client: Client, case: str) -> None:
    make_enrolled("reference")
    expected_first = password_step(client, "reference", "wrong password!")
    expected = shape(client.post(CODE, {"code": "000000"}))
    overs = {"inactive": {"is_active": False}, "no staff": {"is_staff": False}}.get(case, {})
    if case != "unknown":
        make_enrolled("alice", **overs)
    other = Client()
    first = password_step(other, "alice", "wrong!" if case == "wrong password" else PASSWORD)
    assert (first.status_code, first["Location"]) == (302, expected_first["Location"])
    code = "000000" if case == "bad code" else code_now()
    assert shape(other.post(CODE, {"code": code})) == expected
    assert signin.GENERIC in expected[1]
    assert other.get(INDEX).status_code == 302


@pytest.mark.parametrize("case", ["unknown", "wrong password", "inactive", "no staff", "right"])
def test_every_path_computes_one_hash_and_writes_one_entry(
    client: Client, case: str, trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    overs = {"inactive": {"is_active": False}, "no staff": {"is_staff": False}}.get(case, {})
    if case != "unknown":
        make_enrolled("alice", **overs)
    before = len(trail())
    hashes = counted_hashes(monkeypatch)
    password_step(client, "alice", "wrong" if case == "wrong password" else PASSWORD)
    assert len(hashes) == 1
    assert len(trail()) == before + 1


def test_an_unknown_name_is_not_written_down(client: Client, trail: Trail) -> None:
    password_step(client, "my-password-by-mistake")
    entry = trail()[-1]
    assert (entry.action, entry.reason) == ("auth.login_failed", "unknown_user")
    assert "my-password-by-mistake" not in str(vars(entry))
    assert entry.data["name_length"] == 22


def test_the_password_is_never_sent_back(client: Client) -> None:
    make_enrolled()
    assert (
        PASSWORD not in client.post(LOGIN, {"username": "", "password": PASSWORD}).content.decode()
    )
    password_step(client)
    assert PASSWORD not in client.get(CODE).content.decode()
    assert PASSWORD not in str(dict(client.session.items()))


def test_the_second_step_ends_after_five_minutes(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_enrolled()
    password_step(client)
    later = time.time() + signin.VALID_SECONDS + 1
    monkeypatch.setattr("security.signin.time.time", lambda: later)
    response = client.post(CODE, {"code": code_now()})
    assert (response.status_code, response["Location"]) == (302, LOGIN)


def test_a_password_changed_between_the_steps_ends_the_attempt(client: Client) -> None:
    user = make_enrolled()
    password_step(client)
    user.set_password("another long password")
    user.save()
    assert signin.GENERIC in client.post(CODE, {"code": code_now()}).content.decode()


@pytest.mark.parametrize("path", [CODE, "/admin/login/recovery/"])
def test_the_second_step_alone_leads_back_to_the_first(client: Client, path: str) -> None:
    make_enrolled()
    assert client.post(path, {"code": code_now()})["Location"] == LOGIN
    assert client.get(path)["Location"] == LOGIN


def test_a_planted_session_id_is_worthless(client: Client) -> None:
    user = make_enrolled()
    client.get(LOGIN)
    session = client.session
    session["planted"] = "by the attacker"
    session.save()
    planted = str(session.session_key)
    client.cookies["portal_session"] = planted
    password_step(client)
    halfway = str(client.session.session_key)
    client.post(CODE, {"code": code_now()})
    assert len({planted, halfway, client.session.session_key}) == 3
    thief = Client()
    for old in (planted, halfway):
        thief.cookies["portal_session"] = old
        assert thief.get(INDEX).status_code == 302
    assert "planted" not in client.session
    assert user.is_active


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [
        ("/admin/auth/user/", "/admin/auth/user/"),
        ("https://evil.example/", INDEX),
        ("//evil.example/", INDEX),
        ("/\\evil.example", INDEX),
        ("javascript:alert(1)", INDEX),
        ("/admin/logout/", INDEX),
        ("/admin/?" + "a" * 3000, INDEX),
    ],
)
def test_next_stays_on_this_host(client: Client, wanted: str, reached: str) -> None:
    make_enrolled()
    client.post(LOGIN, {"username": "alice", "password": PASSWORD, "next": wanted})
    assert client.post(CODE, {"code": code_now()})["Location"] == reached


def test_signing_out_ends_the_session_on_the_server(trail: Trail) -> None:
    client = signed_in(make_enrolled())
    kept = client.cookies["portal_session"].value
    assert client.get("/admin/logout/").status_code == 405
    client.post("/admin/logout/")
    client.cookies["portal_session"] = kept
    assert client.get(INDEX).status_code == 302
    assert "auth.logout" in actions(trail)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"username": "a\x00b", "password": "x"},
        {"username": "a" * 151, "password": "x"},
        {"username": "a", "password": "x" * 2000},
        {"username": "\ud800", "password": "\ud800"},
    ],
    ids=["empty", "NUL", "long name", "long password", "surrogate"],
)
def test_malformed_answers_stay_at_the_first_step(client: Client, data: dict[str, str]) -> None:
    body = "&".join(f"{k}={v}" for k, v in data.items()).encode("utf-8", "surrogatepass")
    response = client.post(LOGIN, body, content_type="application/x-www-form-urlencoded")
    assert response.status_code in (200, 302)


def test_a_code_opens_only_its_own_account(client: Client) -> None:
    make_enrolled("alice")
    other = make_user("mallory", is_superuser=False)
    seed = "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU"
    TotpDevice.objects.create(user=other, name="app", confirmed=True, seed=seed)
    password_step(client, "alice")
    assert signin.GENERIC in client.post(CODE, {"code": code_now(seed)}).content.decode()


@pytest.mark.parametrize("change", ["unconfirmed", "deleted"])
def test_a_device_that_does_not_count_opens_nothing(client: Client, change: str) -> None:
    user = make_enrolled()
    devices = TotpDevice.objects.filter(user=user)
    devices.delete() if change == "deleted" else devices.update(confirmed=False)
    password_step(client)
    client.post(CODE, {"code": code_now(SEED)})
    assert client.get(INDEX).status_code == 302


def test_a_recovery_code_opens_once_and_says_so(client: Client, trail: Trail) -> None:
    user = make_enrolled()
    codes = make_recovery_codes(user)
    password_step(client)
    written = codes[0].lower().replace("-", " ")
    page = client.post("/admin/login/recovery/", {"code": written}, follow=True)
    assert "recovery code; 9 are left" in page.content.decode()
    assert client.get(INDEX).status_code == 200
    assert "mfa.recovery_code_used" in actions(trail)
    again = Client()
    password_step(again)
    answer = again.post("/admin/login/recovery/", {"code": codes[0]})
    assert signin.GENERIC in answer.content.decode()
    assert again.get(INDEX).status_code == 302


def test_the_owners_browser_is_not_delayed_by_strangers(client: Client) -> None:
    user = make_enrolled()
    owner = signed_in(user)
    owner.post("/admin/logout/")
    for number in range(25):
        stranger = Client(REMOTE_ADDR=f"192.0.2.{number}")
        last = password_step(stranger, "alice", "guess")
    assert last.status_code == 429
    assert password_step(Client(REMOTE_ADDR="198.51.100.7")).status_code == 429
    assert sign_in(owner, user)["Location"] == INDEX


def test_the_limit_answers_with_time_to_wait_and_one_entry(client: Client, trail: Trail) -> None:
    for _ in range(5):
        assert password_step(client, "nobody").status_code == 302
    refused = [password_step(client, "nobody") for _ in range(5)]
    assert {r.status_code for r in refused} == {429}
    assert 0 < int(refused[0]["Retry-After"]) <= 301
    assert "Wait" in refused[0].content.decode()
    assert actions(trail).count("ratelimit.exceeded") == 1


def test_changing_the_password_is_limited_before_a_hash_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = signed_in(make_enrolled())
    data = {"old_password": "wrong", "new_password1": "x" * 20, "new_password2": "x" * 20}
    for _ in range(5):
        assert client.post("/admin/password_change/", data).status_code == 200
    hashes = counted_hashes(monkeypatch)
    assert client.post("/admin/password_change/", data).status_code == 429
    assert hashes == []


def test_addresses_of_one_ipv6_network_count_together() -> None:
    assert limits.network_key("2001:db8::1") == limits.network_key("2001:db8::ffff:1")
    assert limits.network_key("2001:db8::1") != limits.network_key("2001:db8:1::1")
