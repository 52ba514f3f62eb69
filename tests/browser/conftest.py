"""Chromium for tests, signed in without the sign-in page, and a list of everything it complains about."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Response,
    expect,
    sync_playwright,
)
from pytest_django.live_server_helper import LiveServer

from tests.factories import make_session, make_user

# pytest-django's fixtures touch the database while Playwright's event loop runs in this thread.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

# Two cores may be shared with other tests: what is awaited comes, but not always within five seconds.
expect.set_options(timeout=20_000)

CONTRAST = (Path(__file__).parent / "contrast.js").read_text()
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
# Debian's Chromium; a CI image may name another.
NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",  # CI runs as root
    "--disable-quic",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]


def _chromium() -> str:
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), "")
    if not found or not Path(found).exists():
        pytest.skip(
            "skipped: no Chromium on this machine. Install Debian's package chromium, or name one in CHROMIUM."
        )
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = _chromium()
    with ExitStack() as stack:
        try:
            playwright = stack.enter_context(sync_playwright())
        except Exception as error:
            pytest.skip(
                f"skipped: Playwright's driver does not start ({error}). On Debian it needs the package libatomic1."
            )
        try:
            started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        except Exception as error:
            pytest.skip(f"skipped: no Chromium that starts. {path}: {str(error)[:300]}")
        yield started
        started.close()


class Tab:
    """A page with what it complained about: console errors, CSP violations, exceptions."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", self._raised)
        page.on("response", self._answered)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location})")

    def _raised(self, error: Error) -> None:
        self.complaints.append(f"exception: {error}")

    def _answered(self, answer: Response) -> None:
        if answer.status >= 500:
            self.complaints.append(f"HTTP {answer.status} {answer.url}")

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        wider: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return wider

    def faint(self) -> list[str]:
        """Return the texts with less contrast than WCAG asks for."""
        found: list[str] = self.page.evaluate(CONTRAST)
        return found


Open = Callable[..., Tab]


@pytest.fixture
def open_tab(browser: Browser, live_server: LiveServer) -> Iterator[Open]:
    """Return a function that opens a tab signed in as a superuser with a verified second factor."""
    contexts: list[BrowserContext] = []

    def open_one(*, dark: bool = False, viewport: dict[str, int] = DESKTOP) -> Tab:
        context = browser.new_context(
            base_url=live_server.url,
            viewport={"width": viewport["width"], "height": viewport["height"]},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        context.set_default_timeout(20_000)
        cookie = {
            "name": settings.SESSION_COOKIE_NAME,
            "value": make_session(make_user()),
            "url": live_server.url,
        }
        context.add_cookies([cookie])  # type: ignore[list-item]
        contexts.append(context)
        return Tab(context.new_page())

    yield open_one
    for context in contexts:
        context.close()
