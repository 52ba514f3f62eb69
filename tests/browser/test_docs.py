"""The browsable documentation of the API, under a policy that lets no inline script run."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, Open

pytestmark = pytest.mark.django_db(transaction=True)
# Of the page's own ground: the mean of red, green and blue.
LIGHTNESS = """() => {
  const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number);
  return (r + g + b) / 3;
}"""


def test_the_docs_list_the_endpoints_and_send_a_request(open_tab: Open) -> None:
    tab = open_tab()
    answer = tab.page.goto("/api/v1/docs/")
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "'unsafe-eval'" not in policy
    assert "script-src 'self';" in f"{policy};"
    expect(tab.page.locator(".opblock").first).to_be_visible()
    operation = tab.page.locator("#operations-dashboard-dashboard_retrieve")
    # A long list is drawn as far as it is seen.
    for _ in range(100):
        if operation.is_visible():
            break
        tab.page.mouse.wheel(0, 600)
        tab.page.wait_for_timeout(50)
    expect(operation).to_be_visible()
    operation.click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(
        operation.locator(".live-responses-table td.response-col_status:not(.col_header)")
    ).to_contain_text("200")
    assert tab.complaints == []


@pytest.mark.parametrize(
    "dark, chosen, is_dark",
    [
        (False, None, False),
        (True, None, True),
        (True, '"light"', False),
        (False, '"dark"', True),
        (True, '"auto"', True),
        (True, "no JSON", True),
    ],
)
def test_the_docs_are_dark_where_the_admin_or_the_system_is(
    open_tab: Open, dark: bool, chosen: str | None, is_dark: bool
) -> None:
    tab = open_tab(dark=dark)
    if chosen:
        tab.page.add_init_script(f"localStorage.setItem('adminTheme', {chosen!r})")
    tab.page.goto("/api/v1/docs/")
    expect(tab.page.locator(".opblock").first).to_be_visible()
    light = tab.page.evaluate(LIGHTNESS)
    assert [light < 60, light > 200] == [is_dark, not is_dark]
    assert tab.complaints == []


@pytest.mark.parametrize("dark", [False, True])
def test_the_docs_fit_a_phone_and_can_be_read(open_tab: Open, dark: bool) -> None:
    tab = open_tab(dark=dark, viewport=PHONE)
    tab.page.goto("/api/v1/docs/")
    expect(tab.page.locator(".opblock").first).to_be_visible()
    assert (tab.overflow(), tab.faint()) == (0, [])
