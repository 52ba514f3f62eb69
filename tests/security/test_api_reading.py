"""What a person reads by API is what the admin shows them."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from portal.api import router
from tests.factories import make_user, sign_in

pytestmark = pytest.mark.django_db
LISTS = sorted({(prefix, viewset) for prefix, viewset, _ in router.registry if hasattr(viewset, "list")},
               key=lambda pair: pair[0])  # fmt: skip
# For these a viewer needs more: accounts' own tokens, the trail, and what security keeps.
CLOSED = {"audit/entries", "audit/exports", "audit/filters", "tokens", "flags", "blocks", "allow-list",
          "detections/rules", "siem-destinations"}  # fmt: skip


def person(role: str) -> Client:
    user = make_user(is_superuser=False)
    if role:
        user.groups.set([Group.objects.get(name=role)])
    client = Client()
    sign_in(client, user)
    return client


@pytest.mark.parametrize("prefix, viewset", LISTS, ids=[prefix for prefix, _ in LISTS])
def test_a_viewer_reads_every_list_that_the_admin_shows(prefix: str, viewset: Any) -> None:
    status = person("viewer").get(f"/api/v1/{prefix}/").status_code
    assert status == (403 if prefix in CLOSED else 200), viewset


@pytest.mark.parametrize("prefix, viewset", LISTS, ids=[prefix for prefix, _ in LISTS])
def test_an_account_without_a_role_reads_none(prefix: str, viewset: Any) -> None:
    assert person("").get(f"/api/v1/{prefix}/").status_code == 403, viewset
