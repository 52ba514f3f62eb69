"""The gate through the real door: who is refused, who never is, and what it costs."""

import contextlib
from datetime import timedelta
from ipaddress import ip_network
from typing import Any
from unittest import mock

import pytest
import redis
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.test import Client
from django.utils import timezone

from security import blocks, gate, gate_store, subjects, token_clients, tokens
from security.models import AllowEntry, ApiToken, Block
from security.subjects import Subject
from tests.conftest import Trail
from tests.factories import make_user, sign_in

pytestmark = pytest.mark.django_db(transaction=True)
API = "/api/v1/dashboard/"
ADMIN = "/admin/"


@pytest.fixture(autouse=True)
def awake() -> None:
    gate._paused_until = 0.0
    gate._recorded_at.clear()


def block(kind: str, value: str, **over: Any) -> Block:
    facts = {
        "expires_at": timezone.now() + timedelta(hours=1),
        "reason": "attack",
        "actor": None,
        **over,
    }
    return blocks.create(subjects.parse(kind, value), **facts)


def bearer(**over: Any) -> tuple[Client, ApiToken]:
    token, written = tokens.create(
        user=over.pop("user", None) or make_user(), name="ci", scopes=["admin"]
    )
    return Client(headers={"Authorization": f"Bearer {written}"}), token


@pytest.mark.parametrize(
    "kind, value, address",
    [
        ("address", "192.0.2.7", "192.0.2.7"),
        ("address", "::ffff:192.0.2.7", "192.0.2.7"),
        ("network", "192.0.2.0/24", "192.0.2.200"),
        ("network", "192.0.0.0/8", "192.200.2.200"),
        ("address", "2001:db8::1", "2001:db8::1"),
        ("network", "2001:db8::/64", "2001:db8::ffff"),
        ("network", "2001:db8::/33", "2001:db8:1::1"),
    ],
)
def test_a_blocked_address_is_refused_everywhere(kind: str, value: str, address: str) -> None:
    made = block(kind, value)
    for path in (API, ADMIN, "/admin/login/", "/nothing-here/"):
        reply = Client().get(path, REMOTE_ADDR=address)
        assert reply.status_code == 403, path
        assert f"block {made.pk}" in reply.content.decode()
    assert Client().get("/admin/login/", REMOTE_ADDR="198.51.100.1").status_code == 200


def test_the_refusal_is_a_problem_in_the_api_and_a_page_elsewhere() -> None:
    block("address", "192.0.2.7")
    problem = Client().get(API, REMOTE_ADDR="192.0.2.7")
    assert problem["Content-Type"] == "application/problem+json"
    assert problem.json()["type"].endswith("#problem-blocked")
    page = Client().get(ADMIN, REMOTE_ADDR="192.0.2.7")
    assert "text/html" in page["Content-Type"]
    assert "Content-Security-Policy" in page


@pytest.mark.parametrize(("enforced", "status"), [(True, 403), (False, 200)])
def test_decisions_of_crowdsec_may_be_shown_without_being_enforced(
    settings: Any, enforced: bool, status: int
) -> None:
    settings.CROWDSEC_ENFORCE = enforced
    block("address", "192.0.2.7", origin="crowdsec")
    block("address", "192.0.2.8")
    codes = [
        Client().get("/admin/login/", REMOTE_ADDR=address).status_code
        for address in ("192.0.2.7", "192.0.2.8")
    ]
    assert codes == [status, 403]


def test_probes_are_never_refused() -> None:
    block("address", "192.0.2.7")
    assert Client().get("/healthz", REMOTE_ADDR="192.0.2.7").status_code == 200


def test_a_blocked_account_is_refused_with_its_session_and_its_tokens(client: Client) -> None:
    user = sign_in(client)
    with_token, _ = bearer(user=user)
    assert client.get(ADMIN).status_code == with_token.get(API).status_code == 200
    block("account", user.username)
    assert client.get(ADMIN).status_code == with_token.get(API).status_code == 403
    later, _ = bearer(user=user)
    assert later.get(API).status_code == 403


def test_a_blocked_token_is_refused_and_its_account_is_not(client: Client) -> None:
    with_token, token = bearer(user=sign_in(client))
    block("token", str(token.pk))
    assert with_token.get(API).status_code == 403
    assert client.get(ADMIN).status_code == 200


@pytest.mark.parametrize("allowed", [("network", "192.0.2.0/28"), ("address", "192.0.2.7")])
def test_the_allow_list_wins_over_every_block(client: Client, allowed: tuple[str, str]) -> None:
    user = sign_in(client)
    blocks.allow(subjects.parse(*allowed), reason="office", actor=None)
    block("network", "192.0.2.0/24")
    block("account", user.username)
    assert client.get(ADMIN, REMOTE_ADDR="192.0.2.7").status_code == 200
    assert client.get(ADMIN, REMOTE_ADDR="192.0.2.99").status_code == 403


def test_a_block_ends_by_itself_and_can_be_lifted() -> None:
    made = block("address", "192.0.2.7")
    with mock.patch("security.gate.time.time", return_value=made.expires_at.timestamp() + 1):
        assert Client().get("/admin/login/", REMOTE_ADDR="192.0.2.7").status_code == 200
    assert Client().get("/admin/login/", REMOTE_ADDR="192.0.2.7").status_code == 403
    assert blocks.lift(made, actor=None, reason="it was the office")
    assert not blocks.lift(made, actor=None)
    assert Client().get("/admin/login/", REMOTE_ADDR="192.0.2.7").status_code == 200


def test_an_emptied_redis_is_filled_again_by_the_next_request() -> None:
    block("address", "192.0.2.7")
    redis.Redis.from_url(settings.REDIS_URL).flushdb()
    assert Client().get("/admin/login/", REMOTE_ADDR="192.0.2.7").status_code == 403


def test_without_redis_nobody_is_blocked_and_that_is_loud(caplog: pytest.LogCaptureFixture) -> None:
    block("address", "192.0.2.7")
    before = gate.BLIND._value.get()
    with mock.patch.object(gate_store, "client", side_effect=redis.ConnectionError("away")):
        assert Client().get("/admin/login/", REMOTE_ADDR="192.0.2.7").status_code == 200
    assert gate.BLIND._value.get() > before
    assert "NOT enforced" in caplog.text


@pytest.mark.parametrize(
    "who, path",
    [
        ("token", "/api/v1/alerts/"),
        ("session", "/api/v1/alerts/"),
        ("session", "/admin/alerts/alert/"),
    ],
)
def test_a_request_makes_one_round_trip(client: Client, who: str, path: str) -> None:
    asking = bearer()[0] if who == "token" else client
    sign_in(client)
    asking.get(path)  # the client of the token becomes known
    trips = []
    send = redis.connection.AbstractConnection.send_packed_command

    def counted(self: Any, command: Any, *args: Any, **kwargs: Any) -> Any:
        trips.append(command)
        return send(self, command, *args, **kwargs)  # type: ignore[no-untyped-call]

    with mock.patch.object(redis.connection.AbstractConnection, "send_packed_command", counted):
        assert asking.get(path).status_code == 200
    assert len(trips) == 1


def test_the_limit_of_the_api_is_counted_by_the_gate() -> None:
    with_token, _ = bearer()
    with mock.patch("security.gate.API_RULE", "3/minute"):
        codes = [with_token.get("/api/v1/alerts/").status_code for _ in range(5)]
    assert codes == [200, 200, 200, 429, 429]


def test_refusals_are_recorded_once_a_minute(trail: Trail) -> None:
    block("address", "192.0.2.7")
    for _ in range(5):
        Client().get(API, REMOTE_ADDR="192.0.2.7")
    assert [entry.action for entry in trail()] == ["block.added", "block.enforced"]


@pytest.mark.parametrize(
    "kind, value",
    [
        ("address", "not an address"), ("address", ""), ("network", "0.0.0.0/0"), ("network", "10.0.0.0/7"),
        ("network", "2001:db8::/96"), ("network", "192.0.2.0/33"), ("account", "nobody"), ("account", "\x00"),
        ("token", "7" * 40), ("token", "-1"), ("token", "٣"), ("colour", "red"),
    ],
)  # fmt: skip
def test_what_cannot_be_blocked_is_said(kind: str, value: str) -> None:
    with pytest.raises(ValidationError):
        subjects.parse(kind, value)


def test_a_trusted_proxy_and_what_is_allowed_cannot_be_blocked(settings: Any) -> None:
    blocks.allow(Subject("network", "192.0.2.0/24"), reason="office", actor=None)
    with pytest.raises(ValidationError, match="allow-list"):
        block("address", "192.0.2.9")
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.0/30")]
    for value in ("10.0.0.1", "10.0.0.0/8"):
        with pytest.raises(ValidationError, match="proxy"):
            block("network", value)


def test_who_would_block_themselves_must_confirm() -> None:
    api, _ = bearer()
    wanted = {"kind": "address", "value": "127.0.0.1", "reason": "test", "duration_seconds": 60}
    send: Any = {"path": "/api/v1/blocks/", "content_type": "application/json"}
    refused = api.post(data=wanted, **send)
    assert (refused.status_code, Block.objects.count()) == (409, 0)
    assert "confirm" in refused.json()["detail"]
    assert api.post(data=wanted | {"confirm": True}, **send).status_code == 201
    assert api.get(API).status_code == 403


def test_a_block_is_made_renewed_listed_and_lifted_by_api() -> None:
    api, _ = bearer()
    json: Any = {"content_type": "application/json"}
    wanted = {"kind": "address", "value": "192.0.2.7", "reason": "scan", "duration_seconds": 600}
    made = api.post("/api/v1/blocks/", wanted, **json).json()
    assert (made["state"], made["origin"], made["created_by"] != "") == ("active", "hand", True)
    again = api.post("/api/v1/blocks/", wanted | {"duration_seconds": 6000}, **json).json()
    assert again["id"] == made["id"]
    url = f"/api/v1/blocks/{made['id']}/"
    changed = api.put(url, {"reason": "longer", "duration_seconds": 60000}, **json)
    assert changed.json()["expires_at"] > again["expires_at"]
    assert api.get("/api/v1/blocks/?state=active").json()["results"][0]["reason"] == "longer"
    assert api.get("/api/v1/blocks/fail2ban/").content == b"192.0.2.7\n"
    assert api.delete(url).status_code == 204
    assert api.post(f"{url}lift/", {}, **json).status_code == 409
    assert api.get("/api/v1/blocks/fail2ban/").content == b""
    assert api.get("/api/v1/blocks/?state=lifted").json()["results"][0]["id"] == made["id"]


def test_the_allow_list_by_api() -> None:
    api, _ = bearer()
    wanted = {"kind": "network", "value": "10.1.0.0/16", "reason": "office"}
    made = api.post("/api/v1/allow-list/", wanted, content_type="application/json")
    assert made.status_code == 201
    assert (
        api.post("/api/v1/allow-list/", wanted, content_type="application/json").status_code == 400
    )
    assert api.delete(f"/api/v1/allow-list/{made.json()['id']}/").status_code == 204
    assert not AllowEntry.objects.exists()


def test_a_new_network_of_a_token_is_recorded_and_the_first_is_not(trail: Trail) -> None:
    api, _ = bearer()
    for address in ("192.0.2.1", "192.0.2.2", "198.51.100.1", "198.51.100.1"):
        assert api.get(API, REMOTE_ADDR=address, HTTP_USER_AGENT="curl/8.1").status_code == 200
    api.get(API, REMOTE_ADDR="198.51.100.1", HTTP_USER_AGENT="python-requests/2")
    signals = [entry.data["signal"] for entry in trail() if entry.action == "token.new_client"]
    assert signals == ["network", "client"]


def test_invented_clients_fill_neither_the_table_nor_redis(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(token_clients, "MOST_PER_TOKEN", 3)
    api, token = bearer()
    for name in ("curl", "wget", "okhttp", "axios", "Go-http-client", "curl"):
        assert api.get(API, HTTP_USER_AGENT=f"{name}/1").status_code == 200
    with redis.Redis.from_url(settings.REDIS_URL) as server:
        assert server.scard(token_clients.KEY.format(token.token_hash)) == 3
    assert token.clients.count() == 3


@pytest.mark.parametrize(
    "header",
    ["Bearer \xff\xfe", "Bearer " + "x" * 60_000, "Bearer \x00", "bearer", "Bearer dop_pat_"],
)
def test_no_header_breaks_the_gate(header: str) -> None:
    reply = Client().get(
        API, HTTP_AUTHORIZATION=header, HTTP_USER_AGENT="\x00\xff" * 300, REMOTE_ADDR="garbage"
    )
    assert reply.status_code in (401, 429)


def test_a_count_that_lost_its_end_gets_one_again() -> None:
    client, _token = bearer()
    assert client.get(API).status_code == 200
    with redis.Redis.from_url(settings.REDIS_URL) as server:
        (key,) = server.keys("portal:gate:limit:*")
        server.persist(key)
        assert client.get(API).status_code == 200
        assert 0 < server.ttl(key) <= 60


def test_many_blocks_of_one_transaction_are_written_once() -> None:
    with mock.patch.object(gate_store, "_replace", wraps=gate_store._replace) as replaced:
        with transaction.atomic():
            for number in range(1, 6):
                block("address", f"192.0.2.{number}")
        assert replaced.call_count == 1
    assert Client().get(API, REMOTE_ADDR="192.0.2.5").status_code == 403


def test_a_block_whose_forerunner_was_rolled_back_is_written_all_the_same() -> None:
    with transaction.atomic():
        with contextlib.suppress(KeyError), transaction.atomic():
            block("address", "192.0.2.1")
            raise KeyError
        block("address", "192.0.2.2")
    assert Client().get(API, REMOTE_ADDR="192.0.2.1").status_code != 403
    assert Client().get(API, REMOTE_ADDR="192.0.2.2").status_code == 403
