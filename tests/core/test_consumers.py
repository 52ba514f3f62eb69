"""Requests to the API are counted by who asked; names are bounded."""

import pytest
from django.test import Client
from prometheus_client import REGISTRY

from portal.core import consumers
from portal.core.request_context import ANONYMOUS, Actor
from security import tokens
from tests.factories import make_user, sign_in


def counted(consumer: str, status: str) -> float:
    labels = {"consumer": consumer, "status": status}
    return REGISTRY.get_sample_value("portal_api_request_seconds_count", labels) or 0.0


@pytest.mark.django_db
def test_token_account_and_nobody_are_told_apart(client: Client) -> None:
    user = make_user()
    token = tokens.create(user=user, name="ci", scopes=["read"])[1]
    client.get("/api/v1/alerts/", headers={"Authorization": f"Bearer {token}"})
    client.get("/api/v1/nothing/", headers={"Authorization": f"Bearer {token}"})
    anonymous = counted("anonymous", "4xx")
    Client().get("/api/v1/alerts/")
    sign_in(client, user)
    client.get("/api/v1/alerts/")
    client.get("/admin/")
    name = user.get_username()
    assert counted(f"token ci of {name}", "2xx") == 1
    assert counted(f"user {name}", "2xx") == 1
    assert counted("anonymous", "4xx") >= anonymous + 1


def test_more_names_than_are_kept_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "_known", set())
    monkeypatch.setattr(consumers, "MOST_CONSUMERS", 2)
    others = counted("others", "2xx")
    for number in range(4):
        consumers.observe("/api/v1/x/", Actor("user", "1", f"bounded-{number}"), 200, 0.01)
    assert counted("others", "2xx") == others + 2
    assert counted("bounded-3", "2xx") == 0


def test_pages_are_no_api() -> None:
    before = counted("anonymous", "2xx")
    consumers.observe("/admin/", ANONYMOUS, 200, 0.01)
    assert counted("anonymous", "2xx") == before
