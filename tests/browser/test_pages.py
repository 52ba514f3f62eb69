"""Every page of the admin, in light and dark, on a desktop and on a phone: no complaint, no overflow, no faint text."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib import admin
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone

from alerts.notification_models import Notification
from audit import services as audit
from audit.export_models import ExportRecord, ExportState, SavedFilter
from monitoring.models import Deploy, SavedSearch, StatusChange
from portal.core.models import Service
from portal.navigation import PAGES
from security.models import AllowEntry, ApiToken, Block, SiemDestination
from security.siem import destinations
from tests.browser.conftest import DESKTOP, PHONE, Open
from tests.factories import (
    make_alert,
    make_channel,
    make_check,
    make_elasticsearch,
    make_error,
    make_flag,
    make_panel,
    make_route,
    make_rule,
    make_scrape_target,
    make_sentry,
    make_service,
    make_silence,
    make_status,
    make_target,
    make_upstream,
    make_user,
)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LONG = "a-very-long-name-without-any-place-to-break-" * 4


def _fill() -> None:
    """Make at least one row of every registered model, with texts long enough to overflow."""
    upstream = make_upstream(kind="prometheus", error=f"Nothing is listening at {LONG}.")
    service = make_service(name=LONG, description=LONG * 3, matchers=[f'job="{LONG}"'],
                           log_fields=[f"service.name={LONG}"])  # fmt: skip
    make_elasticsearch()
    make_status(service, "down", reason=LONG, upstream=upstream)
    make_target(upstream, service=service, instance=LONG, error=LONG, health="down")
    StatusChange.objects.create(service=service, new_status="down", reason=LONG)
    make_check(
        service=service, name=LONG[:120], sentence=LONG, status="down", target=f"https://{LONG}/"
    )
    Deploy.objects.create(service=service, version=LONG, environment=LONG[:100], actor=LONG)
    make_panel(title=LONG[:110], promql=f'up{{job="{LONG}"}}', upstream=upstream)
    make_scrape_target(service, address=f"{LONG[:60]}.example:9100", labels={"zone": LONG})
    make_rule(name=LONG, expr=f'up{{job="{LONG}"}} == 0', service=service, summary=LONG, loaded_state="broken",
              loaded_error=LONG * 2)  # fmt: skip
    make_alert(alertname=LONG, service=service, annotations={"summary": LONG * 3})
    make_silence(comment=LONG)
    sentry = make_sentry(error=f"Nothing is listening at {LONG}.")
    make_error(sentry, title=LONG * 2, culprit=LONG, service=service, trend=[[1795410000, 3]])
    token = {"name": "ci", "token_hash": "0" * 64, "hint": "dop_pat_ab", "scopes": ["read"]}
    ApiToken.objects.create(user=make_user(), expires_at=timezone.now(), **token)
    channel = make_channel(name="team", error=f"The service failed: {LONG}")
    route = make_route(channel, matchers=[f'job="{LONG}"'], name="everything")
    Notification.objects.create(batch="x", channel=channel, channel_name="team", route=route, outcome="failed",
                                reason="first", subject=LONG, body=LONG * 3, answer=LONG)  # fmt: skip
    make_flag(subject_name=LONG[:190], sentence=f"Something happened at {LONG}.")
    Block.objects.create(kind="address", value="192.0.2.7", reason=LONG, created_by=LONG[:100],
                         expires_at=timezone.now() + timedelta(hours=2))  # fmt: skip
    AllowEntry.objects.create(
        kind="network", value="192.0.2.0/24", reason=LONG, created_by="operator"
    )
    siem = destinations.save(
        SiemDestination(name=LONG[:100], url=f"https://{LONG}.example/"), token="t"
    )
    SiemDestination.objects.filter(pk=siem.pk).update(
        failures=9, failing_since=timezone.now(), error=f"Nothing is listening at {LONG}."
    )
    audit.record("config.changed", target=upstream, reason=LONG, data={"note": LONG})
    _fill_trail()


def _fill_trail() -> None:
    """Make what is kept of the trail and of searches."""
    owner = make_user()
    SavedFilter.objects.create(owner=owner, name=LONG[:90], query={"actor": LONG}, shared=True)
    SavedSearch.objects.create(owner=owner, name=LONG[:90], query={"q": LONG}, shared=True)
    ExportRecord.objects.create(
        requested_by=LONG[:100], query={"actor": LONG}, state=ExportState.COMPLETED, estimated_rows=1, rows=41_283,
        bytes=15_402_118, sha256="0" * 64, finished_at=timezone.now(),
    )  # fmt: skip


def pages() -> Iterator[str]:
    """Return the dashboard and, for each registered model, its list, its add form and one object."""
    yield reverse("admin:index")
    yield from (reverse(name) for name in PAGES)
    yield reverse("admin:snippets", args=[Service.objects.latest("pk").slug])
    request = RequestFactory().get("/")
    request.user = make_user()
    for model, model_admin in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        if model_admin.has_add_permission(request):
            yield reverse(f"{name}_add")
        if (row := model._default_manager.order_by("-pk").first()) is not None:
            yield reverse(f"{name}_change", args=[row.pk])


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_page_makes_the_browser_complain_scrolls_sideways_or_is_hard_to_read(
    open_tab: Open, dark: bool, viewport: dict[str, int]
) -> None:
    _fill()
    tab = open_tab(dark=dark, viewport=viewport)
    wrong, visited = [], 0
    for path in pages():
        answer = tab.page.goto(path, wait_until="load")
        assert answer is not None
        assert answer.status == 200, path
        assert tab.page.locator("html.dark").count() == int(dark)
        wrong += [f"{path}: {complaint}" for complaint in tab.complaints]
        if (wider := tab.overflow()) > 0:
            wrong.append(f"{path}: {wider} pixels wider than the window")
        wrong += [f"{path}: {text}" for text in tab.faint()]
        tab.complaints.clear()
        visited += 1
    assert wrong == []
    assert visited > 20
