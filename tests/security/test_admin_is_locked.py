"""No page under /admin/ opens without a verified factor: every URL there is, is tried."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from security import roles
from security.models import Session, TotpDevice
from security.tasks import clear_expired
from tests.conftest import Trail
from tests.security.builders import (
    CODE,
    INDEX,
    LOGIN,
    PASSWORD,
    actions,
    fresh_code,
    make_enrolled,
    make_user,
    password_step,
    signed_in,
)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "autocommit"])
# What must open to reach a verified session; each is tested on its own.
DOORS = {LOGIN, "/admin/logout/", "/admin/enrol/link/1/", "/admin/enrol/password/"}


def urls(patterns: Any, prefix: str = "/") -> Iterator[str]:
    for pattern in patterns:
        written = str(pattern.pattern).lstrip("^").rstrip("$").removesuffix("\\Z")
        path = prefix + re.sub(r"\(\?P<\w+>([^)|]*)[^)]*\)|<[^>]+>", _sample, written)
        if isinstance(pattern, URLResolver):
            yield from urls(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            yield path


def _sample(match: re.Match[str]) -> str:
    return match[1] if match[1] and match[1].isalpha() else "1"


ADMIN_URLS = sorted({u for u in urls(get_resolver().url_patterns) if u.startswith("/admin/")})


def password_only() -> Client:
    make_enrolled()
    client = Client()
    password_step(client)
    return client


def jailed() -> Client:
    make_user()
    client = Client()
    password_step(client)
    client.post(CODE, {"code": "000000"})
    return client


def verified_without_staff() -> Client:
    user = make_enrolled()
    client = signed_in(user)
    user.is_staff = False
    user.save()
    return client


def device_gone() -> Client:
    client = signed_in(make_enrolled())
    TotpDevice.objects.all().delete()
    return client


VISITORS = {
    "anonymous": (Client, set()),
    "password only": (password_only, {CODE, "/admin/login/recovery/"}),
    "jailed": (jailed, {"/admin/enrol/"}),
    "not staff": (
        verified_without_staff,
        {"/admin/step-up/", "/admin/recovery-codes/", "/admin/shown-once/"},
    ),
    "device gone": (device_gone, set()),
}


@pytest.mark.parametrize("visitor", VISITORS)
@pytest.mark.parametrize("method", ["get", "post"])
def test_no_admin_page_opens_unverified(visitor: str, method: str) -> None:
    make, allowed = VISITORS[visitor]
    assert len(ADMIN_URLS) > 30
    client = make()
    open_pages = []
    for url in ADMIN_URLS:
        if url in DOORS | allowed:
            continue
        response = getattr(client, method)(url)
        away = response.status_code in (301, 302, 403, 404, 405)
        if not away:
            open_pages.append((url, response.status_code))
    assert open_pages == []


def test_the_walk_knows_the_pages() -> None:
    for url in (INDEX, "/admin/auth/user/add/", "/admin/security/apitoken/", "/admin/jsi18n/"):
        assert url in ADMIN_URLS


def age(client: Client, **seconds: int) -> None:
    session = client.session
    for key, number in seconds.items():
        session[f"portal_{key}"] = int(time.time()) - number
    session.save()


@pytest.mark.parametrize("url", ["/admin/auth/user/add/", "/admin/security/apitoken/add/"])
def test_dangerous_pages_ask_for_a_fresh_code(url: str, trail: Trail) -> None:
    user = make_enrolled()
    client = signed_in(user)
    assert client.get(url).status_code == 200
    age(client, verified_at=601)
    before = client.session.session_key
    asked = client.get(url)
    assert asked["Location"].startswith("/admin/step-up/?next=")
    assert client.post(asked["Location"], {"code": "000000"}).status_code == 200
    passed = client.post(asked["Location"], {"code": fresh_code(user)})
    assert passed["Location"] == url
    assert client.session.session_key != before
    assert client.get(url).status_code == 200
    assert actions(trail)[-2:] == ["auth.reauth_failed", "auth.reauth_succeeded"]


@pytest.mark.parametrize(
    ("ages", "opens"),
    [
        ({"seen": 1700}, 200),
        ({"seen": 1801}, 302),
        ({"started": 12 * 3600 - 60}, 200),
        ({"started": 12 * 3600 + 1}, 302),
    ],
)
def test_sessions_end_when_idle_or_old(ages: dict[str, int], opens: int) -> None:
    client = signed_in(make_enrolled())
    age(client, **ages)
    assert client.get(INDEX).status_code == opens


def test_expired_sessions_are_cleared_and_live_ones_stay() -> None:
    client = signed_in(make_enrolled())
    password_step(Client(), "half-way")
    Session.objects.exclude(pk=client.session.session_key).update(expire_date=timezone.now())
    clear_expired()
    assert Session.objects.count() == 1
    assert client.get(INDEX).status_code == 200


def test_a_request_without_a_cookie_costs_the_database_one_line_of_the_trail(
    django_assert_num_queries: Any,
) -> None:
    with django_assert_num_queries(1):  # that a stranger asked for what is not there
        response = Client().get("/nothing-here/")
    assert response.status_code == 404
    assert "Cookie" not in response.get("Vary", "")


def test_changing_the_password_ends_the_other_sessions(trail: Trail) -> None:
    user = make_enrolled()
    client, other = signed_in(user), signed_in(user)
    new = "a wholly different pass phrase"
    data = {"old_password": "wrong", "new_password1": new, "new_password2": new}
    assert client.post("/admin/password_change/", data).status_code == 200
    data["old_password"] = PASSWORD
    assert client.post("/admin/password_change/", data).status_code == 302
    assert other.get(INDEX).status_code == 302
    assert client.get(INDEX).status_code == 200
    assert {"password.change_failed", "password.changed"} <= set(actions(trail))


def test_the_four_roles_exist_and_only_superusers_edit_accounts() -> None:
    assert set(roles.ROLES) <= set(Group.objects.values_list("name", flat=True))
    user = make_enrolled("ada", is_superuser=False)
    user.groups.add(Group.objects.get(name="administrator"))
    client = signed_in(user)
    assert client.get("/admin/auth/user/").status_code == 200
    assert client.get("/admin/auth/user/add/").status_code == 403
    assert client.get("/admin/security/apitoken/add/").status_code == 200
    page = client.get("/admin/security/apitoken/add/").content.decode()
    assert 'value="monitoring:write"' in page
    assert 'value="admin"' not in page


def test_an_administrator_gives_a_link_not_a_password() -> None:
    client = signed_in(make_enrolled("root"))
    other = make_user("other")
    data = {"action": "make_enrolment_link", "_selected_action": [other.pk]}
    page = client.post("/admin/auth/user/", data, follow=True).content.decode()
    assert "/admin/enrol/link/dop_enrol_" in page
    assert "dop_enrol_" not in client.get("/admin/shown-once/").content.decode()
    assert client.get(f"/admin/auth/user/{other.pk}/password/").status_code in (302, 404)
