"""What a person reads by API is what the admin shows them."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from portal.api import router
from tests.factories import make_service, make_user, sign_in
from tests.security.test_api_is_locked import operations

pytestmark = pytest.mark.django_db
LISTS = sorted({(prefix, viewset) for prefix, viewset, _ in router.registry if hasattr(viewset, "list")},
               key=lambda pair: pair[0])  # fmt: skip
# For these a viewer needs more: accounts' own tokens, the trail, and what security keeps.
CLOSED = {"audit/entries", "audit/exports", "audit/filters", "tokens", "flags", "blocks", "allow-list",
          "detections/rules", "siem-destinations"}  # fmt: skip


# What everybody who may sign in sees: the index of the admin, and the timeline, which hides by kind.
FOR_ALL = {"/api/v1/dashboard/", "/api/v1/timeline/"}


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


def test_nor_does_it_read_anything_else_but_the_dashboard() -> None:
    make_service(slug="987654")
    client = person("")
    reads = [path for method, path in operations() if method == "get" and path not in FOR_ALL]
    answers = {path: client.get(path).status_code for path in reads}
    answers.pop("/api/v1/services/987654/timeline/")  # as the whole one
    assert {path: code for path, code in answers.items() if code != 403} == {}
