"""Bearer tokens at the API's door: which are let in, what they may do, and who may make them."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator

from portal.core.models import Service
from security import tokens
from security.models import ApiToken, Scope
from tests.conftest import Trail
from tests.factories import make_service
from tests.security.builders import actions, make_enrolled, make_user, signed_in

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "autocommit"]),
    pytest.mark.urls("tests.security.urls"),
]
URL = "/api/v1/tokens/"
GOOD = {"name": "ci", "scopes": ["read"]}


def mint(user: User | None = None, **over: Any) -> tuple[ApiToken, str]:
    user = user or User.objects.first() or make_user()
    facts = {"name": "t", "scopes": ["read", "security:write"], **over}
    return tokens.create(user=user, **facts)


def bearer(written: str) -> Any:
    return {"HTTP_AUTHORIZATION": f"Bearer {written}"}


def test_a_good_token_is_let_in_and_named_in_the_trail(client: Client, trail: Trail) -> None:
    token, written = mint()
    answer = client.get(URL, **bearer(written))
    assert answer.status_code == 200
    assert "Cookie" not in answer.get("Vary", "")
    client.post(URL, {"name": "x", "scopes": ["admin"]}, "application/json", **bearer(written))
    denied = trail()[-1]
    assert (denied.actor_type, denied.auth_method, denied.actor_roles) == (
        "token",
        "token",
        ["token:t"],
    )
    token.refresh_from_db()
    assert token.last_used_at is not None


def spoil(written: str) -> str:
    return written[:-1] + ("0" if written[-1] != "0" else "1")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (lambda written: "Bearer ", "malformed"),
        (lambda written: "Bearer " + spoil(written), "malformed"),
        (lambda written: "Bearer " + "\x00" * 46, "malformed"),
        (lambda written: "Bearer " + "é\xff" * 23, "malformed"),
        (lambda written: "Bearer dop_pat_" + "é" * 38, "malformed"),
        (lambda written: "Bearer " + "x" * 65536, "malformed"),
        (lambda written: "bearer\t" + written, None),
        (lambda written: "Basic YWxpY2U6cGFzcw==", None),
        (lambda written: written, None),
    ],
)
def test_a_malformed_header_is_a_401(
    client: Client, header: Any, reason: str | None, trail: Trail
) -> None:
    _, written = mint()
    answer = client.get(URL, HTTP_AUTHORIZATION=header(written))
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["WWW-Authenticate"].startswith("Bearer")
    rejected = [entry for entry in trail() if entry.action == "token.rejected"]
    assert [entry.reason for entry in rejected] == ([reason] if reason else [])
    assert written not in str([vars(entry) for entry in rejected])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"revoked_at": timezone.now()}, "revoked"),
        ({"expires_at": timezone.now() - timedelta(seconds=1)}, "expired"),
        ({"allowed_networks": ["10.0.0.0/8", "2001:db8::/32"]}, "network_not_allowed"),
        ({"token_hash": "0" * 64}, "unknown"),
    ],
    ids=["revoked", "expired", "network", "unknown"],
)
def test_a_token_that_no_longer_counts_is_refused(
    client: Client, change: dict[str, Any], reason: str, trail: Trail
) -> None:
    token, written = mint()
    ApiToken.objects.filter(pk=token.pk).update(**change)
    assert client.get(URL, **bearer(written)).status_code == 401
    assert trail()[-1].reason == reason


def test_deactivating_the_account_stops_its_tokens(client: Client) -> None:
    token, written = mint()
    User.objects.update(is_active=False)
    assert client.get(URL, **bearer(written)).status_code == 401
    assert token.user_id


def test_a_network_list_lets_its_own_addresses_in() -> None:
    _, written = mint(networks=["192.0.2.77/24", "2001:db8::/64"])
    for address, status in (("192.0.2.1", 200), ("2001:db8::5", 200), ("198.51.100.1", 401)):
        assert Client(REMOTE_ADDR=address).get(URL, **bearer(written)).status_code == status


def test_bad_tokens_are_limited_and_good_ones_behind_the_address_are_not(trail: Trail) -> None:
    _, written = mint()
    client = Client()
    statuses = [client.get(URL, **bearer("wrong")).status_code for _ in range(40)]
    assert statuses == [401] * 30 + [429] * 10
    assert client.get(URL, **bearer(written)).status_code == 200
    found = actions(trail)
    assert (found.count("token.rejected"), found.count("ratelimit.exceeded")) == (30, 1)


@pytest.mark.parametrize("scope", list(Scope.values))
def test_tokens_need_the_scope_security_write(client: Client, scope: str) -> None:
    _, written = mint(scopes=[scope])
    allowed = scope in (Scope.SECURITY_WRITE, Scope.ADMIN)
    assert client.get(URL, **bearer(written)).status_code == (200 if allowed else 403)


def test_a_token_makes_tokens_of_no_more_scope_time_or_network(client: Client) -> None:
    expires = timezone.now() + timedelta(days=1)
    parent, written = mint(
        scopes=["read", "security:write"], expires_at=expires, networks=["127.0.0.0/8"]
    )
    more = {"name": "x", "scopes": ["read", "admin"]}
    refused = client.post(URL, more, "application/json", **bearer(written))
    assert (refused.status_code, "admin" in refused.json()["detail"]) == (403, True)
    wide = {**GOOD, "allowed_networks": ["0.0.0.0/0"]}
    assert client.post(URL, wide, "application/json", **bearer(written)).status_code == 400
    made = client.post(URL, GOOD, "application/json", **bearer(written))
    assert made.status_code == 201
    child = ApiToken.objects.get(pk=made.json()["id"])
    assert child.expires_at == parent.expires_at
    assert child.allowed_networks == ["127.0.0.0/8"]


def test_a_token_belongs_to_a_service_and_so_do_those_it_makes(
    client: Client, trail: Trail
) -> None:
    make_service(slug="shop")
    _, written = mint()
    made = client.post(URL, GOOD | {"service": "shop"}, "application/json", **bearer(written))
    assert (made.status_code, made.json()["service"]) == (201, "shop")
    _, written = mint(service=Service.objects.get(), networks=["127.0.0.0/8"])
    client.post(URL, GOOD, "application/json", **bearer(written))
    client.post(URL, {"name": "x", "scopes": ["admin"]}, "application/json", **bearer(written))
    assert ApiToken.objects.filter(service__slug="shop").count() == 3
    of_service = [entry.action for entry in trail() if entry.data.get("service") == "shop"]
    assert of_service.count("token.created") == 3
    wrongs: list[Any] = ["nobody", "\x00", 7, {}]
    for wrong in wrongs:
        body = {**GOOD, "service": wrong}
        assert client.post(URL, body, "application/json", **bearer(written)).status_code == 400


def test_the_text_is_in_one_answer_only(client: Client, trail: Trail) -> None:
    _, written = mint()
    made = client.post(URL, GOOD, "application/json", **bearer(written)).json()
    assert re.fullmatch(r"dop_pat_[0-9A-Za-z]{38}", made["token"])
    later = client.get(f"{URL}{made['id']}/", **bearer(written)).json()
    assert "token" not in later
    assert "token_hash" not in later
    assert made["token"] not in str([vars(entry) for entry in trail()])


def test_revoking_is_once_and_keeps_the_row(client: Client, trail: Trail) -> None:
    token, written = mint(make_user(), scopes=["admin"])
    url = f"{URL}{token.pk}/"
    assert client.delete(url, **bearer(written)).status_code == 204
    assert client.delete(url, **bearer(written)).status_code == 401
    assert ApiToken.objects.filter(pk=token.pk).exists()
    assert actions(trail).count("token.revoked") == 1


def made_by(client: Client, written: str) -> tuple[ApiToken, str]:
    """Let a token make another one by API."""
    body = {"name": "child", "scopes": ["security:write"]}
    answer = client.post(URL, body, "application/json", **bearer(written))
    assert answer.status_code == 201, answer.content
    return ApiToken.objects.get(pk=answer.json()["id"]), answer.json()["token"]


@pytest.mark.parametrize("query, left", [("", True), ("?made=true", False)])
def test_what_a_token_made_outlives_it_unless_it_is_revoked_with_it(
    client: Client, query: str, left: bool, trail: Trail
) -> None:
    _admin, key = mint(scopes=["admin"])
    taken, written = mint(scopes=["security:write"])
    child, of_child = made_by(client, written)
    grandchild, of_grandchild = made_by(client, of_child)
    assert (child.made_with, grandchild.made_with) == (taken, child)
    assert client.delete(f"{URL}{taken.pk}/{query}", **bearer(key)).status_code == 204
    texts = written, of_child, of_grandchild, key
    answers = [client.get(URL, **bearer(text)).status_code for text in texts]
    assert answers == [401, *([200] if left else [401]) * 2, 200]
    reasons = [entry.reason for entry in trail() if entry.action == "token.revoked"]
    assert sorted("was revoked" in reason for reason in reasons) == [
        False,
        *([] if left else [True] * 2),
    ]
    wrong = client.delete(f"{URL}{taken.pk}/?made=perhaps", **bearer(key))
    assert (wrong.status_code, "made" in wrong.json()["errors"]) == (400, True)


def test_a_token_that_is_revoked_while_it_makes_another_makes_none() -> None:
    taken, _written = mint()
    ApiToken.objects.update(revoked_at=timezone.now())  # since the request was let in
    with pytest.raises(ValidationError, match="The token you are using has been revoked"):
        tokens.create(user=taken.user, name="x", scopes=["read"], made_with=taken)


def test_the_admin_revokes_a_token_with_all_it_made(client: Client) -> None:
    taken, written = mint(scopes=["security:write"])
    made_by(client, written)
    staff = signed_in(make_enrolled("bo"))
    data = {"action": "revoke_with_made", "_selected_action": [taken.pk]}
    page = staff.post("/admin/security/apitoken/", data, follow=True).content.decode()
    assert "Revoked: 2." in page
    assert not ApiToken.objects.filter(revoked_at=None).exists()


def test_a_session_needs_a_fresh_code_and_a_csrf_token() -> None:
    client = signed_in(make_enrolled())
    assert client.post(URL, GOOD, "application/json").status_code == 201
    session = client.session
    session["portal_verified_at"] -= 601
    session.save()
    stale = client.post(URL, GOOD, "application/json")
    assert (stale.status_code, "/admin/step-up/" in stale.json()["detail"]) == (403, True)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert strict.post(URL, GOOD, "application/json").status_code == 403


def test_a_session_without_the_factor_is_nobody() -> None:
    client = signed_in(make_enrolled())
    session = client.session
    del session["otp_device_id"]
    session.save()
    assert client.get(URL).status_code == 401


def test_people_grant_only_what_they_hold_and_see_only_their_own() -> None:
    mint(make_user("root"))
    user = make_enrolled("ada", is_superuser=False)
    user.groups.add(Group.objects.get(name="administrator"))
    client = signed_in(user)
    too_much = {"name": "x", "scopes": ["admin"]}
    assert client.post(URL, too_much, "application/json").status_code == 403
    assert client.post(URL, GOOD, "application/json").status_code == 201
    assert [row["user"] for row in client.get(URL).json()["results"]] == ["ada"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "x\x00", "scopes": ["read"]},
        {"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "x", "scopes": ["read"], "allowed_networks": ["10.0.0.0/99"]},
        [1],
        "text",
    ],
)
def test_bad_bodies_are_400_problems(client: Client, body: Any) -> None:
    _, written = mint()
    answer = client.post(URL, body, "application/json", **bearer(written))
    assert answer.status_code == 400, answer.content
    assert ApiToken.objects.count() == 1


def test_the_admin_shows_a_new_token_once_and_revokes_it() -> None:
    client = signed_in(make_enrolled())
    form = {"name": "ci", "scopes": ["read"], "allowed_networks": "", "lifetime": "30d",
            "service": make_service(slug="shop").pk}  # fmt: skip
    page = client.post("/admin/security/apitoken/add/", form, follow=True).content.decode()
    found = re.search(r"dop_pat_\w{38}", page)
    assert found
    assert found[0] not in client.get("/admin/shown-once/").content.decode()
    assert client.get(URL, **bearer(found[0])).status_code == 403
    token = ApiToken.objects.get(service__slug="shop")
    assert client.get(f"/admin/security/apitoken/{token.pk}/change/").status_code == 200
    data = {"action": "revoke", "_selected_action": [token.pk]}
    client.post("/admin/security/apitoken/", data)
    assert client.get(URL, **bearer(found[0])).status_code == 401


def test_a_secret_waits_for_its_own_page() -> None:
    client = signed_in(make_enrolled())
    form = {"name": "ci", "scopes": ["read"], "allowed_networks": "", "lifetime": "30d"}
    client.post("/admin/security/apitoken/add/", form)
    assert "dop_pat_" not in client.get("/admin/recovery-codes/").content.decode()
    assert "dop_pat_" in client.get("/admin/shown-once/").content.decode()


def test_the_command_prints_the_token_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    make_user("ci", is_staff=False, is_superuser=False)
    args = ["create_token", "deploys", "--user", "ci", "--scope", "read", "--scope", "metrics"]
    make_service(slug="shop")
    call_command(*args, "--expires", "90d", "--cidr", "10.0.0.0/8", "--service", "shop")
    written = capsys.readouterr().out
    assert re.fullmatch(r"dop_pat_[0-9A-Za-z]{38}\n", written)
    token = ApiToken.objects.get(service__slug="shop")
    assert (token.scopes, token.allowed_networks) == (["read", "metrics"], ["10.0.0.0/8"])


@pytest.mark.parametrize(
    ("over", "says"),
    [
        ({"--user": "ghost"}, "no active account"),
        ({"--scope": "root"}, "Choose scopes from"),
        ({"--expires": "soon"}, "not a lifetime"),
        ({"--expires": "9000d"}, "366 days"),
        ({"--cidr": "10.0.0.0/99"}, "not a network"),
        ({"--service": "ghost"}, "no service 'ghost'"),
    ],
)
def test_the_command_explains_what_is_wrong(over: dict[str, str], says: str) -> None:
    make_user("ci")
    options = {"--user": "ci", "--scope": "read", **over}
    with pytest.raises(CommandError, match=says):
        call_command("create_token", "x", *(word for pair in options.items() for word in pair))


def test_the_schema_is_made_without_warnings() -> None:
    with GENERATOR_STATS.silence():
        schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
        assert not GENERATOR_STATS._error_cache
        assert not GENERATOR_STATS._warn_cache
    assert set(schema["paths"]) >= {URL, URL + "{id}/"}
