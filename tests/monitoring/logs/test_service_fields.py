"""Which lines a service calls its own, by the API that sets it and the search that goes by it."""

from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from django.test import Client
from django.utils import timezone

from portal.core.models import Service, Upstream
from security import tokens
from tests.elastic import FakeElasticsearch, wire_line
from tests.factories import make_service, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    token = tokens.create(user=make_user(), name="ci", scopes=["read", "monitoring:write"])[1]
    return Client(headers={"Authorization": f"Bearer {token}"})


def patch(client: Client, pairs: list[Any]) -> Any:
    body = {"log_fields": pairs}
    return client.patch("/api/v1/services/checkout/", body, content_type="application/json")


def messages(client: Client, service: str) -> list[str]:
    answer = client.get("/api/v1/logs/search/", {"service": service})
    assert answer.status_code == 200, answer.content
    return [line["message"] for line in answer.json()["results"]]


def test_a_search_of_a_service_goes_by_its_log_fields(
    client: Client, elastic: FakeElasticsearch, upstream: Upstream
) -> None:
    make_service(slug="checkout")
    moment = timezone.now() - timedelta(minutes=1)
    for name, namespace in (("pay", "eu"), ("cart", "eu"), ("pay", "us")):
        fields = {"service.name": name, "kubernetes.namespace": namespace}
        elastic.documents.append(wire_line(moment, f"{name} in {namespace}", **fields))
    assert messages(client, "checkout") == []
    pairs = ["service.name=pay", "service.name=cart", "kubernetes.namespace=eu"]
    assert patch(client, pairs).json()["log_fields"] == pairs
    assert sorted(messages(client, "checkout")) == ["cart in eu", "pay in eu"]
    assert messages(client, "search") == ["other"]  # no service is called so: as it is written


def test_the_link_to_kibana_goes_by_them_too(
    client: Client, upstream: Upstream, settings: Any
) -> None:
    settings.KIBANA_URL = "https://kibana.example"
    make_service(slug="checkout", log_fields=["service.name=pay"])
    found = client.get("/api/v1/logs/search/", {"service": "checkout"}).json()
    assert 'service.name:"pay"' in unquote(found["kibana_url"])


@pytest.mark.parametrize(
    "pairs", [["pay"], ["a=b"] * 21, [""], [{"a": "b"}]], ids=["bare", "many", "empty", "object"]
)
def test_what_is_no_pair_is_refused_at_its_field(client: Client, pairs: list[Any]) -> None:
    make_service(slug="checkout")
    answer = patch(client, pairs)
    assert answer.status_code == 400
    assert "log_fields" in answer.json()["errors"]
    assert Service.objects.get(slug="checkout").log_fields == []
