"""The log lines on the page of a service: its own, or why there are none."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from portal.core.models import Service
from tests.elastic import FakeElasticsearch, fake_elasticsearch, wire_line
from tests.factories import make_elasticsearch, make_service, make_user, sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def elastic() -> Iterator[FakeElasticsearch]:
    with fake_elasticsearch() as fake:
        make_elasticsearch(fake.url)
        yield fake


@pytest.fixture
def service(client: Client) -> Service:
    sign_in(client)
    return make_service(slug="checkout", log_fields=["service.name=pay"])


def lines_of(client: Client, service: Service) -> str:
    answer = client.get(f"/admin/core/service/{service.pk}/logs/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_its_own_lines_are_shown_and_its_errors_counted(
    client: Client, service: Service, elastic: FakeElasticsearch
) -> None:
    moment, pay = timezone.now() - timedelta(minutes=5), {"service.name": "pay"}
    elastic.documents = [
        wire_line(moment, "card <b>refused</b>", **pay, **{"log.level": "error"}),
        wire_line(moment, "card taken", **pay),
        wire_line(moment, "of another", **{"service.name": "checkout"}),
    ]
    part = lines_of(client, service)
    assert "<b>2</b> lines in the last hour, <b>1</b> of them errors" in part
    assert "card &lt;b&gt;refused&lt;/b&gt;" in part
    assert "of another" not in part
    assert "/admin/logs/?service=checkout&amp;level=critical%2Cerror&amp;range=24h" in part


def test_the_page_asks_for_them_and_says_whose_they_are(client: Client, service: Service) -> None:
    page = client.get(service.get_absolute_url()).content.decode()
    assert "No Elasticsearch or OpenSearch is connected" in page
    make_elasticsearch()
    page = client.get(service.get_absolute_url()).content.decode()
    assert 'id="service-logs"' in page
    assert f'hx-get="/admin/core/service/{service.pk}/logs/"' in page
    assert "Its log lines have <code>service.name=pay</code>." in page


def test_logs_that_cannot_be_seen_are_no_empty_list(client: Client, service: Service) -> None:
    make_elasticsearch()
    part = lines_of(client, service)
    assert 'role="alert"' in part
    assert "No log lines in the last hour" not in part


def test_a_form_sets_its_log_fields_line_by_line(client: Client, service: Service) -> None:
    form = {"name": "Checkout", "slug": "checkout", "log_fields": "service.name=a\n\nkubernetes.namespace=eu\n",
            "labels": "{}", "scrape_targets-TOTAL_FORMS": "0", "scrape_targets-INITIAL_FORMS": "0"}  # fmt: skip
    assert client.post(service.get_absolute_url(), form).status_code == 302
    service.refresh_from_db()
    assert service.log_fields == ["service.name=a", "kubernetes.namespace=eu"]
    answer = client.post(service.get_absolute_url(), {**form, "log_fields": "pay"})
    assert "is not a pair of field and value. Write field=value" in answer.content.decode()


def test_who_may_not_see_logs_sees_none_here(
    client: Client, service: Service, elastic: FakeElasticsearch
) -> None:
    user = make_user(is_superuser=False)
    user.user_permissions.add(Permission.objects.get(codename="view_service"))
    sign_in(client, user)
    assert 'id="service-logs"' not in client.get(service.get_absolute_url()).content.decode()
    assert client.get(f"/admin/core/service/{service.pk}/logs/").status_code == 403
