"""Upstreams through the API: credentials stay with the server they were entered for."""

import pytest
from django.test import Client

from portal.core.models import Upstream
from security import tokens
from tests.factories import make_upstream, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    token = tokens.create(user=make_user(), name="test", scopes=["read", "monitoring:write"])[1]
    return Client(headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize(
    "change, code",
    [
        ({"url": "http://evil.example:9093"}, 400),
        ({"url": "http://am.example:9093/prefix"}, 200),
        ({"url": "http://evil.example:9093", "credentials": {}}, 200),
        ({"interval_seconds": 30}, 200),
    ],
    ids=["another server", "same server", "forgotten with it", "other field"],
)
def test_stored_credentials_do_not_move_to_another_server(
    client: Client, change: dict[str, object], code: int
) -> None:
    row = make_upstream(url="http://am.example:9093", credentials={"token": "secret"})
    reply = client.patch(f"/api/v1/upstreams/{row.pk}/", change, content_type="application/json")
    assert reply.status_code == code, reply.content
    assert b"secret" not in reply.content


def test_a_managed_upstream_is_not_deleted(client: Client) -> None:
    row = make_upstream(managed=True)
    assert client.delete(f"/api/v1/upstreams/{row.pk}/").status_code == 409
    assert Upstream.objects.filter(pk=row.pk).exists()
