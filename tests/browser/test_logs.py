"""The page of logs with lines too long for any window: opened, narrowed, without a complaint."""

from datetime import timedelta

import pytest
from django.utils import timezone

from monitoring.logs.models import SavedSearch
from tests.browser.conftest import DESKTOP, PHONE, Open
from tests.elastic import fake_elasticsearch, wire_line
from tests.factories import make_elasticsearch, make_user

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LONG = "a-very-long-name-without-any-place-to-break-" * 6


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_lines_open_and_a_bar_narrows(open_tab: Open, dark: bool, viewport: dict[str, int]) -> None:
    now = timezone.now()
    SavedSearch.objects.create(name=LONG[:99], owner=make_user(), shared=True, query={"q": "a"})
    with fake_elasticsearch() as fake:
        fields = {"service.name": LONG, "host.name": LONG, LONG: LONG}
        fake.documents = [
            wire_line(now - timedelta(minutes=n + 1), LONG, **fields) for n in range(9)
        ]
        make_elasticsearch(fake.url)
        tab = open_tab(dark=dark, viewport=viewport)
        tab.page.goto("/admin/logs/")
        tab.page.locator(".logs-line summary").first.click()
        assert tab.page.locator(".logs-open").first.is_visible()
        assert tab.overflow() <= 0
        tab.page.locator(".logs-histogram a:not([tabindex])").first.click()
        tab.page.wait_for_url("**since=**")
        assert tab.page.locator(".logs-line").count() == 1
        tab.page.locator(".logs-line summary").first.click()
        tab.page.get_by_text("Surrounding lines").click()
        tab.page.wait_for_selector(".is-anchor")
        assert tab.overflow() <= 0
        assert tab.complaints == []
