"""The page of a service: what happened to it, and to no other."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from monitoring.models import StatusChange
from portal.core.models import Service
from tests.factories import (
    make_alert,
    make_error,
    make_sentry,
    make_service,
    make_target,
    make_upstream,
    sign_in,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def service(client: Client) -> Service:
    sign_in(client)
    return make_service(slug="shop")


def page_of(client: Client, service: Service) -> str:
    return client.get(service.get_absolute_url()).content.decode()


def test_it_shows_uptime_changes_alerts_and_targets(client: Client, service: Service) -> None:
    now = timezone.now()
    for hours, status in ((18, "up"), (12, "down"), (6, "up")):
        StatusChange.objects.create(
            service=service,
            new_status=status,
            at=now - timedelta(hours=hours),
            reason=f"{hours} h.",
        )
    make_alert(service=service, alertname="CheckoutSlow")
    make_alert(service=make_service(), alertname="OfAnother")
    make_target(make_upstream(kind="prometheus"), service=service, instance="shop-1:9100")
    page = page_of(client, service)
    for words in ("66.667 %", "1 incident", "12 h.", "CheckoutSlow", "shop-1:9100"):
        assert words in page, words
    assert "OfAnother" not in page


def test_its_errors_are_summed_up_and_those_of_others_are_not(
    client: Client, service: Service
) -> None:
    now, sentry = timezone.now(), make_sentry()
    make_error(sentry, service=service, first_seen_at=now - timedelta(hours=1), user_count=4)
    make_error(sentry, service=service, regressed_at=now - timedelta(hours=1), user_count=5)
    make_error(sentry, service=service, status="resolved", title="ResolvedOne")
    make_error(sentry, service=make_service(), title="OfAnother")
    page = page_of(client, service)
    assert (
        "<b>2</b> unresolved, <b>1</b> new and <b>1</b> regressed in 24 hours, 9 affected users"
        in page
    )
    assert "OfAnother" not in page
    assert "ResolvedOne" not in page


def test_it_leads_to_grafana_at_both_doors(
    client: Client, service: Service, settings: Settings
) -> None:
    assert "in Grafana" not in page_of(client, service)
    settings.GRAFANA_URL = "https://grafana.example"
    url = "https://grafana.example/d/portal-api?var-service=shop&from=now-24h&to=now"
    assert url.replace("&", "&amp;") in page_of(client, service)
    assert client.get("/api/v1/services/shop/").json()["grafana_url"] == url
