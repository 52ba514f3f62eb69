"""Upstreams through the API: credentials stay with the server they were entered for."""

import html
import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from monitoring.api import UpstreamSerializer
from portal.admin_upstreams import UpstreamForm
from portal.core.models import Upstream
from security import tokens
from tests.factories import make_upstream, make_user, sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    token = tokens.create(user=make_user(), name="test", scopes=["read", "monitoring:write"])[1]
    return Client(headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize(
    "change, code",
    [
        ({"url": "http://evil.example:9093"}, 400),
        ({"url": "http://am.example:9093,http://evil.example:9093"}, 400),
        ({"url": "HTTP://AM.example:9093/prefix"}, 200),
        ({"url": "http://evil.example:9093", "credentials": {}}, 200),
        ({"interval_seconds": 30}, 200),
    ],
    ids=["another server", "one more server", "same server", "forgotten with it", "other field"],
)
def test_stored_credentials_do_not_move_to_another_server(
    client: Client, change: dict[str, object], code: int
) -> None:
    row = make_upstream(url="http://am.example:9093", credentials={"token": "secret"})
    reply = client.patch(f"/api/v1/upstreams/{row.pk}/", change, content_type="application/json")
    assert reply.status_code == code, reply.content
    assert b"secret" not in reply.content


def test_stored_credentials_do_not_leave_encryption(client: Client) -> None:
    row = make_upstream(url="https://am.example:9093", credentials={"token": "secret"})
    change = {"url": "http://am.example:9093"}
    reply = client.patch(f"/api/v1/upstreams/{row.pk}/", change, content_type="application/json")
    assert reply.status_code == 400
    assert "credentials" in reply.json()["errors"]


@pytest.mark.parametrize(
    "over, words",
    [
        ({"options": {"organization": "../../a"}}, "must be the slug of a Sentry organisation"),
        ({"options": {"organization": ".."}}, "must be the slug of a Sentry organisation"),
        ({"options": {"organization": ""}}, "must be the slug of a Sentry organisation"),
        ({"options": {"organization": 7}}, "must be the slug"),
        ({"url": "http://169.254.169.254/latest"}, "metadata services"),
        ({"url": "http://sentry.example,http://169.254.1.1:80"}, "metadata services"),
        ({"url": "http://[fe80::1]:9000"}, "metadata services"),
        ({"url": "http://[::ffff:169.254.169.254]"}, "metadata services"),
        ({"url": "http://2852039166/"}, "metadata services"),
        ({"url": "http://0xa9fea9fe/"}, "metadata services"),
        ({"url": "http://metadata.google.internal./"}, "metadata services"),
    ],
    ids=str,
)
def test_both_doors_refuse_what_would_lead_elsewhere(
    client: Client, over: dict[str, object], words: str
) -> None:
    asked = {"name": "errors", "kind": "sentry", "url": "https://sentry.example", **over}
    reply = client.post("/api/v1/upstreams/", asked, content_type="application/json")
    assert reply.status_code == 400
    assert words in reply.content.decode().replace("\\", "")
    staff = Client()
    sign_in(staff)
    typed = {"enabled": "on", "interval_seconds": 60, **asked,
             "options": json.dumps(asked.get("options", {}))}  # fmt: skip
    page = staff.post("/admin/core/upstream/add/", typed)
    assert page.status_code == 200
    assert words in html.unescape(page.content.decode())
    assert not Upstream.objects.filter(name="errors").exists()


def test_a_good_organisation_is_saved(client: Client) -> None:
    asked = {"name": "errors", "kind": "sentry", "url": "https://sentry.example",
             "options": {"organization": "acme-2_b"}}  # fmt: skip
    assert (
        client.post("/api/v1/upstreams/", asked, content_type="application/json").status_code == 201
    )


def test_a_managed_upstream_is_not_deleted(client: Client) -> None:
    row = make_upstream(managed=True)
    assert client.delete(f"/api/v1/upstreams/{row.pk}/").status_code == 409
    assert Upstream.objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize("door", ["api", "admin"])
def test_a_change_leaves_what_a_poll_writes_meanwhile(
    client: Client, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row was read before the poll ended; written back whole, it would bring its lease to life again."""
    held = timezone.now() + timedelta(minutes=2)
    row = make_upstream(name="am", lease_until=held, observed={"alerts": 1})
    place: Any = UpstreamSerializer if door == "api" else UpstreamForm
    name = "validate" if door == "api" else "clean"
    real = getattr(place, name)

    def meanwhile(*arguments: Any) -> Any:
        Upstream.objects.update(lease_until=None, observed={"alerts": 2})
        return real(*arguments)

    monkeypatch.setattr(place, name, meanwhile)
    if door == "api":
        body = {"interval_seconds": 77}
        url = f"/api/v1/upstreams/{row.pk}/"
        assert client.patch(url, body, content_type="application/json").status_code == 200
    else:
        sign_in(client)
        form = {"name": "am", "kind": row.kind, "url": row.url, "interval_seconds": "77", "enabled": "on",
                "options": "{}"}  # fmt: skip
        assert client.post(row.get_absolute_url(), form).status_code == 302
    row.refresh_from_db()
    assert (row.interval_seconds, row.lease_until, row.observed) == (77, None, {"alerts": 2})
