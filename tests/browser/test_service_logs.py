"""The log lines of a service come onto its page by themselves, without a complaint of the browser."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, Open
from tests.elastic import fake_elasticsearch, wire_line
from tests.factories import make_elasticsearch, make_service

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_lines_of_a_service_appear_on_its_page(open_tab: Open) -> None:
    service = make_service(slug="checkout", log_fields=["service.name=pay"])
    moment = timezone.now() - timedelta(minutes=5)
    with fake_elasticsearch() as fake:
        fake.documents = [
            wire_line(
                moment, "card refused " * 30, **{"service.name": "pay", "log.level": "error"}
            ),
            wire_line(moment, "card taken", **{"service.name": "pay"}),
        ]
        make_elasticsearch(fake.url)
        tab = open_tab(viewport=PHONE)
        tab.page.goto(service.get_absolute_url())
        card = tab.page.get_by_role("region", name="Log lines").first
        expect(card).to_contain_text("2 lines in the last hour, 1 of them errors")
        expect(card).to_contain_text("card taken")
        assert tab.overflow() <= 0
        tab.page.get_by_role("link", name="All lines of the last hour").click()
        expect(tab.page.locator("body")).to_contain_text("card refused")
    assert tab.complaints == []
