"""What the keyboard alone reaches: past the navigation, into the filters, to the search by name."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.factories import make_service

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LIST = "/admin/core/service/"
SEEN = """(() => {
  const style = getComputedStyle(document.activeElement);
  return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
})()"""
NAMED = """(() => {
  const stop = document.activeElement;
  const written = stop.innerText || stop.title || stop.ariaLabel;
  return Boolean(written || stop.labels?.length || stop.querySelector("img[alt]"));
})()"""


def test_the_first_stop_leads_past_the_navigation(open_tab: Open) -> None:
    page = open_tab().page
    page.goto(LIST)
    page.keyboard.press("Tab")
    expect(page.locator(".portal-skip")).to_be_focused()
    expect(page.locator(".portal-skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.getElementById('main').contains(document.activeElement)")


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_the_filters_open_by_the_keyboard(open_tab: Open, key: str) -> None:
    make_service()
    page = open_tab().page
    page.goto(LIST)
    page.get_by_role("button", name="Filters").focus()
    page.keyboard.press(key)
    expect(page.locator("#changelist-filter")).to_be_visible()


def test_the_search_by_name_opens_by_the_keyboard(open_tab: Open) -> None:
    page = open_tab().page
    page.goto(LIST)
    page.get_by_role("button", name="Go to").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#search-input-command")).to_be_focused()


def test_each_stop_of_a_form_shows_that_it_is_the_one(open_tab: Open) -> None:
    page = open_tab().page
    page.goto(f"{LIST}add/")
    page.evaluate("document.activeElement.blur()")
    stops = 0
    for _ in range(100):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break  # past the last one
        stops += 1
        found = page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        assert page.evaluate(SEEN), found
        assert page.evaluate(NAMED), found
    assert stops > 10
