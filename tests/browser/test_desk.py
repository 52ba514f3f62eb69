"""The alert desk in a browser: what a responder does, and that nothing complains."""

from typing import Any

import pytest
from django.urls import reverse

from alerts.models import Alert, Transition
from audit.models import AuditEntry
from tests.browser.conftest import PHONE, Open
from tests.factories import make_alert, make_service, make_silence, make_upstream

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def alert() -> Alert:
    upstream = make_upstream(name="alertmanager")
    service = make_service(slug="checkout", runbook_url="https://runbooks.example/checkout")
    silence = make_silence(upstream=upstream)
    alert = make_alert(
        upstream=upstream, service=service, severity="critical", silenced_by=[silence.silence_id]
    )
    Transition.objects.create(alert=alert, kind="opened", at=alert.starts_at, source="poll")
    make_alert(upstream=upstream, state="resolved")
    return alert


def test_acknowledge_and_comment(open_tab: Open, alert: Alert) -> None:
    tab = open_tab()
    page = tab.page
    page.goto(reverse("admin:alerts_alert_changelist"))
    page.get_by_role("link", name="HighCPU").first.click()
    page.get_by_role("button", name="Acknowledge").click()
    page.get_by_label("Comment").fill("Looking at it")
    page.get_by_role("button", name="Add comment").click()
    page.wait_for_selector("text=Looking at it")
    alert.refresh_from_db()
    assert alert.acknowledged_by
    kinds = list(alert.transitions.order_by("id").values_list("kind", flat=True))
    assert kinds == ["opened", "acknowledged", "commented"]
    assert AuditEntry.objects.filter(action="alert.acknowledged", target_id=str(alert.pk)).exists()
    assert tab.complaints == []


LOOKS = {"light": {}, "dark": {"dark": True}, "phone": {"viewport": PHONE}}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS.keys())
def test_the_pages_of_the_desk_fit_and_do_not_complain(
    open_tab: Open, alert: Alert, look: dict[str, Any]
) -> None:
    tab = open_tab(**look)
    for name in ("alerts_alert_change", "alerts_alert_silence"):
        tab.page.goto(reverse(f"admin:{name}", args=[alert.pk]))
        tab.page.wait_for_load_state("networkidle")
        assert tab.overflow() <= 0
    assert tab.complaints == []


def test_a_silence_that_alertmanager_cannot_take_is_explained(open_tab: Open, alert: Alert) -> None:
    page = open_tab().page
    page.goto(reverse("admin:alerts_alert_silence", args=[alert.pk]))
    page.get_by_label("Reason").fill("Planned work")
    page.get_by_role("button", name="Create silence").click()
    assert "No silence was created" in page.get_by_role("alert").first.inner_text()
