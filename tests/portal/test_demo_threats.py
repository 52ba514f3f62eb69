"""The demonstration of flags and blocks can be seen, and made again."""

import pytest
from django.test import Client

from portal import demo
from security.models import Block, Flag
from tests.factories import sign_in

pytestmark = pytest.mark.django_db


def test_flags_and_blocks_are_shown_and_made_anew(client: Client) -> None:
    for _ in range(2):
        demo.seed(demo.Sizes(alerts=5, audit_entries=200, services=3, issues=2))
    assert (Flag.objects.open().count(), Block.objects.count()) == (5, 4)
    sign_in(client)
    page = client.get("/admin/security/flag/").content.decode()
    assert "Credential stuffing" in page
    for flag in Flag.objects.all():
        assert client.get(flag.get_absolute_url()).status_code == 200
    answer = client.get("/api/v1/services/checkout/timeline/?kind=flag").json()
    assert len(answer["results"]) == 3
    assert "203.0.113.0/25" in client.get("/admin/security/block/").content.decode()
    assert client.get("/api/v1/dashboard/").json()["flags"] == {"open": 5, "high": 3, "worst": 90}
