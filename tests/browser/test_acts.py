"""The buttons above a form: reached and pressed with the keyboard alone, under the strict policy."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.factories import make_check, make_upstream

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize(
    ("make", "words", "answer"),
    [
        (make_check, "Run now", "connection refused"),
        (make_upstream, "Test connection", "Nothing is listening"),
    ],
    ids=["check", "upstream"],
)
def test_the_keyboard_presses_the_button(
    open_tab: Open, make: Callable[..., Any], words: str, answer: str
) -> None:
    tab = open_tab()
    tab.page.goto(make().get_absolute_url(), wait_until="load")
    button = tab.page.get_by_role("button", name=words)
    for _ in range(80):
        tab.page.keyboard.press("Tab")
        if button.evaluate("it => it === document.activeElement"):
            break
    expect(button).to_be_focused()
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_text(answer).first).to_be_visible()
    assert tab.complaints == []
