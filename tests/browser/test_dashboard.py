"""The dashboard in a real browser."""

import pytest

from tests.browser.conftest import Open

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_an_empty_dashboard_says_what_to_do_and_the_browser_complains_of_nothing(
    open_tab: Open,
) -> None:
    tab = open_tab()
    tab.page.goto("/admin/")
    tab.page.get_by_text("Connect your first upstream").wait_for()
    assert "Unknown" in tab.page.locator(".dash-tile").first.inner_text()
    assert tab.complaints == []
    assert tab.overflow() <= 0
