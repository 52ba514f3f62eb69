"""The dashboard in a real browser: it renews itself, says when it cannot, and needs no mouse."""

import contextlib
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django import Settings

from monitoring.models import Deploy, Panel
from security.models import Session
from tests.browser.conftest import PHONE, Open, Tab
from tests.browser.stack import real_prometheus
from tests.factories import make_alert, make_panel, make_service, make_upstream
from tests.stack import until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ROUND_MS = 60_000


def show(open_tab: Open, **look: bool) -> Tab:
    """Open the dashboard with a clock that tests may set, and wait for its first round."""
    tab = open_tab(**look)
    tab.page.clock.install()
    tab.page.goto("/admin/")
    rounds(tab.page, 1)
    return tab


def rounds(page: Page, count: int) -> None:
    """Let time pass until the page has asked `count` times."""
    for _ in range(40):
        if int(page.locator("#dashboard").get_attribute("data-rounds") or 0) >= count:
            return
        page.clock.run_for(ROUND_MS // 10)
        page.wait_for_timeout(50)
    raise AssertionError(f"the page did not ask {count} times")


def test_an_empty_dashboard_says_what_to_do_and_the_browser_complains_of_nothing(
    open_tab: Open,
) -> None:
    tab = open_tab()
    tab.page.goto("/admin/")
    tab.page.get_by_text("Connect your first upstream").wait_for()
    assert "Unknown" in tab.page.locator(".dash-tile").first.inner_text()
    assert tab.complaints == []
    assert tab.overflow() <= 0


def test_a_new_alert_appears_without_a_reload(open_tab: Open) -> None:
    upstream = make_upstream()
    tab = show(open_tab)
    expect(tab.page.get_by_text("Nothing is firing.").last).to_be_visible()
    tab.page.evaluate("window.sameDocument = true")
    make_alert(upstream=upstream, alertname="DiskFull", severity="critical")
    rounds(tab.page, 2)
    expect(tab.page.get_by_role("link", name="DiskFull")).to_be_visible()
    expect(tab.page.locator("#dash-attention")).to_have_text("1 alert is firing, critical.")
    assert tab.page.evaluate("window.sameDocument") is True
    assert tab.complaints == []


def test_the_reader_keeps_the_place_while_numbers_are_renewed(open_tab: Open) -> None:
    alert = make_alert(alertname="DiskFull")
    tab = show(open_tab)
    tab.page.locator(f"#alert-{alert.pk}").focus()
    make_alert(upstream=alert.upstream, alertname="Other")
    rounds(tab.page, 2)
    expect(tab.page.get_by_role("link", name="Other")).to_be_visible()
    expect(tab.page.locator(f"#alert-{alert.pk}")).to_be_focused()


def test_when_the_portal_does_not_answer_the_old_data_stays_greyed_with_a_sentence(
    open_tab: Open,
) -> None:
    make_alert(alertname="DiskFull")
    tab = show(open_tab)
    tab.page.route("**/admin/live/", lambda route: route.abort())
    rounds(tab.page, 2)
    expect(tab.page.locator("#dash-connection")).to_contain_text("The portal does not answer since")
    expect(tab.page.get_by_role("link", name="DiskFull")).to_be_visible()
    expect(tab.page.locator("#dashboard.is-stale")).to_be_visible()
    tab.page.unroute("**/admin/live/")
    rounds(tab.page, 3)
    expect(tab.page.locator("#dash-connection")).to_be_hidden()
    expect(tab.page.locator("#dashboard.is-stale")).to_have_count(0)


def test_who_is_signed_out_meanwhile_is_told_so(open_tab: Open) -> None:
    tab = show(open_tab)
    Session.objects.all().delete()
    rounds(tab.page, 2)
    expect(tab.page.locator("#dash-connection")).to_contain_text("You are signed out")
    link = tab.page.locator("#dash-connection a")
    assert (link.get_attribute("href") or "").startswith("/admin/login/?next=%2Fadmin%2F")


def test_a_hidden_tab_asks_nothing(open_tab: Open) -> None:
    tab = show(open_tab)
    tab.page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => true, configurable: true})"
    )
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    tab.page.clock.run_for(5 * ROUND_MS)
    assert asked == []
    tab.page.evaluate("delete document.hidden")
    tab.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    rounds(tab.page, 2)
    assert asked


def test_everything_is_reached_and_worked_with_the_keyboard(open_tab: Open) -> None:
    make_alert(alertname="DiskFull")
    make_panel(slug="p", title="Load")
    page = show(open_tab).page
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        # The last line: icons are letters to the DOM.
        words = "(e) => (e.ariaLabel || e.innerText.trim()).split('\\n').pop()"
        seen.append(page.evaluate_handle("document.activeElement").evaluate(words))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or page.evaluate("document.activeElement === document.body"), seen
        if seen[-1].startswith("6h,"):
            break
    assert {"Dashboard", "Alerts", "DiskFull", "15m, the last 15 minutes"} <= set(seen)
    assert "Show or hide the navigation" in seen
    page.keyboard.press("Enter")
    expect(page.locator("[data-range='6h']")).to_have_attribute("aria-pressed", "true")


def test_on_a_phone_the_navigation_opens_from_a_button(open_tab: Open) -> None:
    tab = open_tab(viewport=PHONE)
    tab.page.goto("/admin/")
    link = tab.page.locator("#nav-sidebar").get_by_role("link", name="Upstreams")
    expect(link).not_to_be_in_viewport()
    tab.page.get_by_role("button", name="Open the navigation").click()
    link.click()
    tab.page.wait_for_url("**/admin/core/upstream/")
    assert tab.complaints == []


@pytest.fixture(scope="module")
def prometheus_url() -> Iterator[str]:
    with real_prometheus() as url:
        yield url


@pytest.mark.stack
def test_a_chart_of_a_real_prometheus_is_drawn_with_its_episode_and_its_deploy(
    open_tab: Open, prometheus_url: str, settings: Settings
) -> None:
    settings.GRAFANA_URL = "https://grafana.example"
    make_upstream(kind="prometheus", url=prometheus_url)
    make_panel(
        slug="up", title="Up", promql="up", legend="{{job}}", alert_matchers=['alertname="Shaded"']
    )
    now = timezone.now()
    make_alert(alertname="Shaded", severity="critical", starts_at=now - timedelta(minutes=30),
               state="resolved", ends_at=now - timedelta(minutes=10))  # fmt: skip
    Deploy.objects.create(
        service=make_service(slug="shop"), version="v7", at=now - timedelta(minutes=20)
    )
    tab = show(open_tab)
    chart = tab.page.locator("#chart-up")
    expect(chart.locator(".chart-key")).to_have_count(2, timeout=ROUND_MS)
    marked = re.compile(r"^Shaded: 1 alert episode \(Shaded\)\. Line: deploy of shop v7 at \S+\.$")
    expect(chart.locator("[data-note]")).to_have_text(marked)
    reds, deploys = chart.locator("canvas").evaluate(COUNT_MARKS)
    assert (reds > 500, deploys > 20) == (True, True), (reds, deploys)
    leads = re.compile(r"^https://grafana\.example/explore\?schemaVersion=1&panes=.*%22up%22")
    expect(chart.get_by_role("link", name="Open in Grafana")).to_have_attribute("href", leads)
    picture = chart.get_by_role("img")
    expect(picture).to_have_attribute("aria-label", re.compile("Latest: node: 1; prometheus: 1"))
    assert tab.complaints == []


@pytest.mark.stack
def test_the_form_of_a_chart_previews_and_refuses_in_prometheus_s_words(
    open_tab: Open, prometheus_url: str
) -> None:
    make_upstream(kind="prometheus", url=prometheus_url)
    tab = open_tab()
    page = tab.page
    page.goto("/admin/monitoring/panel/add/")
    page.get_by_label("Legend").fill("{{instance}}")

    def is_previewed() -> bool:
        """Ask anew: a preview drawn before Prometheus has scraped stays empty, as it should."""
        page.get_by_label("PromQL").fill("")
        page.get_by_label("PromQL").fill("up{job='node'}")
        with contextlib.suppress(AssertionError):
            expect(page.locator("#panel-preview .chart-key")).to_have_count(1, timeout=3000)
            return True
        return False

    until(is_previewed, "the preview stays empty", seconds=ROUND_MS / 1000)
    page.get_by_label("Title").fill("Mine")
    page.get_by_label("PromQL").fill("sum((up)")
    expect(page.locator("#panel-preview [data-message]")).to_contain_text("parse error")
    with page.expect_navigation():
        page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".field-promql")).to_contain_text("parse error")
    page.get_by_label("PromQL").fill("up")
    with page.expect_navigation():
        page.get_by_role("button", name="Save", exact=True).click()
    assert Panel.objects.filter(slug="mine", promql="up").exists()
    assert tab.complaints == []


# Pixels that the shade of a critical episode colours (more red than green by a margin), and those of the
# very colour of a deploy: its flag has them, the thin line below it only blends of it.
COUNT_MARKS = """(canvas) => {
  const probe = document.createElement("i");
  probe.style.color = "var(--mark-deploy)";
  document.body.append(probe);
  const wanted = getComputedStyle(probe).color.match(/[\\d.]+/g).map(Number);
  probe.remove();
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let reds = 0, deploys = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] > 0 && data[i] - data[i + 1] > 60) reds++;
    if ([0, 1, 2].every((n) => Math.abs(data[i + n] - wanted[n]) < 6)) deploys++;
  }
  return [reds, deploys];
}"""
