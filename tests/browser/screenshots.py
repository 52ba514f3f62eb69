"""Takes the screenshots of the docs and for looking at: `python -m pytest tests/browser/screenshots.py`.

They go to SCREENSHOTS, default docs/screenshots/. Not collected by an ordinary test run.
"""

import math
import os
import random
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from alerts.models import Alert
from alerts.notification_models import Channel, Route
from audit.export_models import ExportRecord
from audit.models import AuditEntry
from monitoring.models import ErrorIssue, ErrorTally, Panel, Rule, StatusChange
from portal import demo
from portal.core.embedded.places import BASE_DIR
from portal.core.models import Service, Upstream
from security.models import Flag, SiemDestination
from tests.browser.conftest import DESKTOP, PHONE, Open
from tests.browser.stack import real_prometheus
from tests.elastic import fake_elasticsearch, wire_line
from tests.factories import (
    make_alert,
    make_elasticsearch,
    make_error,
    make_panel,
    make_sentry,
    make_service,
    make_silence,
    make_status,
    make_target,
    make_upstream,
    make_user,
)

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.django_db(transaction=True)]
FOLDER = Path(os.environ.get("SCREENSHOTS") or BASE_DIR / "docs" / "screenshots")
LOOKS = (("light", False, DESKTOP), ("dark", True, DESKTOP), ("phone", False, PHONE))
SAMPLE_SECONDS = 15
PAST_SECONDS = 2 * 3600


def _wave(at: float, base: float, swing: float, hill: float, noise: random.Random) -> float:
    """Return a load that swings slowly, trembles, and has a hill about 20 minutes ago."""
    ago = time.time() - at
    bump = hill * math.exp(-(((ago - 1300) / 420) ** 2))
    return base + swing * math.sin(at / 900) + bump + noise.gauss(0, swing / 6)


def past() -> str:
    """Return two hours of OpenMetrics history for the four charts that every portal starts with."""
    noise = random.Random(7)
    end = int(time.time() // SAMPLE_SECONDS) * SAMPLE_SECONDS
    times = range(end - PAST_SECONDS, end, SAMPLE_SECONDS)
    lines = ["# TYPE s_cpu gauge"]
    for host, base in (("db-1", 34), ("web-1", 22), ("web-2", 18)):
        for at in times:
            load = max(2.0, _wave(at, base, 6, 58 if host == "db-1" else 0, noise))
            lines.append(f's_cpu{{instance="{host}"}} {load:.3f} {at}')
    lines.append("# TYPE s_memory gauge")
    for host, base in (("db-1", 71), ("web-1", 48), ("web-2", 44)):
        for at in times:
            lines.append(f's_memory{{instance="{host}"}} {_wave(at, base, 2, 9, noise):.3f} {at}')
    lines.append("# TYPE s_connections gauge")
    for state, base in (("active", 9), ("idle", 21), ("idle in transaction", 2)):
        for at in times:
            count = max(0, round(_wave(at, base, 2, 14 if state == "active" else 1, noise)))
            lines.append(f's_connections{{state="{state}"}} {count} {at}')
    lines.append("# TYPE s_latency gauge")
    for name, took_usually in (("p50", 0.031), ("p95", 0.14), ("p99", 0.29)):
        for at in times:
            took = max(0.004, _wave(at, took_usually, took_usually / 6, took_usually * 1.6, noise))
            lines.append(f's_latency{{quantile="{name}"}} {took:.5f} {at}')
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def prometheus_url() -> Iterator[str]:
    with real_prometheus(past()) as url:
        yield url


def _charts(prometheus: Upstream) -> None:
    Panel.objects.all().delete()
    panels: tuple[tuple[Any, ...], ...] = (
        ("CPU", "s_cpu", "{{instance}}", "percent", 80, 95, ['alertname="HostHighCpu"']),
        ("Memory", "s_memory", "{{instance}}", "percent", 85, 95, []),
        ("Database usage", "s_connections", "{{state}}", "number", None, None,
         ['alertname="DatabaseConnectionsHigh"']),
        ("API response time", "s_latency", "{{quantile}}", "seconds", 0.5, None, []),
    )  # fmt: skip
    for number, (title, promql, legend, unit, warning, critical, matchers) in enumerate(panels):
        make_panel(
            slug=f"shot-{number}", title=title, promql=promql, legend=legend, unit=unit, upstream=prometheus,
            warning_above=warning, critical_above=critical, alert_matchers=matchers, position=number,
        )  # fmt: skip


def _fill(url: str) -> None:
    now = timezone.now()
    prometheus = make_upstream(name="prometheus", kind="prometheus", url=url)
    alertmanager = make_upstream(name="alertmanager", url="http://alertmanager:9093")
    _charts(prometheus)
    services = {}
    for slug, name, team, status, reason in (
        (
            "checkout",
            "Checkout",
            "payments",
            "down",
            "2 of 3 targets are down: web-2:8080, web-3:8080.",
        ),
        ("search", "Search", "discovery", "degraded", "The alert SearchSlow is firing."),
        ("accounts", "Accounts", "identity", "up", ""),
        ("catalogue", "Catalogue", "discovery", "up", ""),
        ("database", "PostgreSQL", "platform", "up", ""),
        ("gateway", "API gateway", "platform", "up", ""),
    ):
        services[slug] = make_service(slug=slug, name=name, team=team, tier=2)
        make_status(services[slug], status, reason=reason, upstream=prometheus, targets_up=2,
                    since=now - timedelta(minutes=26))  # fmt: skip
        make_target(prometheus, job=slug, instance=f"{slug}-1:8080", service=services[slug],
                    health="down" if status == "down" else "up",
                    error="connection refused" if status == "down" else "")  # fmt: skip
    StatusChange.objects.create(service=services["checkout"], old_status="up", new_status="down",
                                reason="2 of 3 targets are down.", at=now - timedelta(minutes=26))  # fmt: skip
    _alerts(alertmanager, services)
    make_silence(upstream=alertmanager)
    _errors(services)


def _errors(services: dict[str, Service]) -> None:
    """A Sentry with a day of events: one new error, one that came back, some that go on."""
    sentry, now = make_sentry(name="sentry"), timezone.now()
    for number, (slug, title, substatus, count) in enumerate((
        ("checkout", "TypeError: cannot read amount of null", "regressed", 412),
        ("search", "TimeoutError: index took more than 10 s", "ongoing", 96),
        ("gateway", "ConnectionResetError: upstream went away", "new", 31),
    )):  # fmt: skip
        first = now - timedelta(hours=3 if substatus == "new" else 200)
        issue = make_error(sentry, title=title, project=slug, service=services[slug], substatus=substatus,
                           count=count, first_seen_at=first, last_seen_at=now - timedelta(minutes=2 + number),
                           regressed_at=now - timedelta(hours=1) if substatus == "regressed" else None)  # fmt: skip
        for hour in range(24):
            ErrorTally.objects.update_or_create(
                upstream=sentry, project=slug, service=services[slug],
                hour=(now - timedelta(hours=hour)).replace(minute=0, second=0, microsecond=0),
                defaults={"events": int(6 + 5 * math.sin(hour / 3 + number)) + (30 if hour == 1 else 0)},
            )  # fmt: skip
        assert issue.pk


def _alerts(alertmanager: Upstream, services: dict[str, Service]) -> None:
    now = timezone.now()
    for minutes, name, severity, slug, summary in (
        (
            3,
            "CheckoutErrorRate",
            "critical",
            "checkout",
            "4.1 % of payments fail, more than the 1 % objective",
        ),
        (9, "SearchSlow", "warning", "search", "95th percentile of search is 1.8 s"),
        (
            14,
            "CertificateExpiresSoon",
            "warning",
            "gateway",
            "The certificate of api.example.com expires in 12 days",
        ),
        (
            26,
            "InstanceDown",
            "critical",
            "checkout",
            "web-2:8080 has not been scraped for a minute",
        ),
        (48, "BackupMissing", "info", "database", "Last backup is 26 hours old"),
    ):
        make_alert(upstream=alertmanager, alertname=name, severity=severity, service=services[slug],
                   annotations={"summary": summary}, starts_at=now - timedelta(minutes=minutes),
                   labels={"alertname": name, "severity": severity, "job": slug},
                   **({"acknowledged_by": "operator", "acknowledged_at": now} if minutes == 26 else {}))  # fmt: skip
    for name, severity, began, lasted in (
        ("HostHighCpu", "critical", 27, 11),
        ("DatabaseConnectionsHigh", "warning", 25, 8),
    ):
        make_alert(upstream=alertmanager, alertname=name, severity=severity, state="resolved",
                   labels={"alertname": name, "severity": severity}, starts_at=now - timedelta(minutes=began),
                   ends_at=now - timedelta(minutes=began - lasted))  # fmt: skip


def _shoot(
    open_tab: Open, path: str, name: str, looks: tuple[str, ...] = ("light", "dark", "phone")
) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for look, dark, viewport in LOOKS:
        if look not in looks:
            continue
        tab = open_tab(dark=dark, viewport=viewport)
        tab.page.goto(path)
        tab.page.wait_for_load_state("networkidle")
        if path == "/admin/":
            tab.page.wait_for_selector("#dashboard[data-rounds]")
        tab.page.evaluate("document.fonts.ready")
        tab.page.screenshot(path=FOLDER / f"{name}-{look}.png", full_page="/change/" not in path)


DEMO_LISTS = {
    "checks": "/admin/monitoring/check/",
    "errors": "/admin/monitoring/errorissue/",
    "deploys": "/admin/monitoring/deploy/",
    "notifications": "/admin/alerts/notification/",
    "channels": "/admin/alerts/channel/",
    "routes": "/admin/alerts/route/",
    "flags": "/admin/security/flag/",
    "blocks": "/admin/security/block/",
    "detection-rules": "/admin/security/rulesetting/",
    "audit": "/admin/audit/auditentry/",
    "saved-filters": "/admin/audit/savedfilter/",
    "saved-searches": "/admin/monitoring/savedsearch/",
    "exports": "/admin/audit/exportrecord/",
    "siem": "/admin/security/siemdestination/",
}


def test_full(open_tab: Open, prometheus_url: str) -> None:
    _fill(prometheus_url)
    _shoot(open_tab, "/admin/", "dashboard")
    service = Service.objects.get(slug="checkout")
    prometheus = service.status.upstream
    assert prometheus is not None
    panel = prometheus.panels.first()
    assert panel is not None
    _shoot(open_tab, service.get_absolute_url(), "service", ("light", "phone"))
    _shoot(open_tab, panel.get_absolute_url(), "panel", ("light", "dark"))
    _shoot(open_tab, "/admin/core/service/", "services", ("light", "phone"))
    _shoot(open_tab, "/admin/core/upstream/", "upstreams", ("light", "dark"))
    _shoot(open_tab, prometheus.get_absolute_url(), "upstream", ("light",))
    _shoot(open_tab, "/admin/alerts/alert/", "alerts", ("light", "phone"))
    _shoot(open_tab, "/admin/monitoring/target/", "targets", ("light",))


def test_empty(open_tab: Open) -> None:
    _shoot(open_tab, "/admin/", "dashboard-empty")


def test_blind(open_tab: Open) -> None:
    now = timezone.now()
    sentence = "Nothing is listening at alertmanager:9093: connection refused. Start the server, or correct the URL."
    make_upstream(name="alertmanager", error=sentence, error_since=now - timedelta(minutes=4),
                  succeeded_at=now - timedelta(minutes=4))  # fmt: skip
    make_upstream(name="prometheus", kind="prometheus", live=False)
    _shoot(open_tab, "/admin/", "dashboard-blind")


def test_errors(open_tab: Open) -> None:
    demo.seed(demo.Sizes(alerts=40, audit_entries=10, services=8, issues=300))
    Upstream.objects.filter(name__startswith="demo-").update(enabled=True)
    issue = ErrorIssue.objects.filter(regressed_at__isnull=False).order_by("-count")[0]
    service = Service.objects.get(pk=issue.service_id or 0)
    _shoot(open_tab, "/admin/monitoring/errorissue/", "errors", ("light", "dark", "phone"))
    _shoot(open_tab, issue.get_absolute_url(), "error", ("light", "dark", "phone"))
    _shoot(open_tab, service.get_absolute_url(), "service-errors", ("light",))
    _shoot(open_tab, "/admin/", "dashboard-errors", ("light", "phone"))


def test_notifications(open_tab: Open) -> None:
    demo.seed(demo.Sizes(alerts=60, audit_entries=10, services=12))
    Channel.objects.update(enabled=True)
    Route.objects.update(enabled=True)
    failing = "The service failed with HTTP 503, which may be temporary."
    now = timezone.now()
    Channel.objects.filter(name="demo-mail").update(error=failing, failing_since=now, failures=2)
    _shoot(open_tab, "/admin/alerts/channel/", "channels", ("light", "dark"))
    _shoot(open_tab, "/admin/alerts/route/", "routes", ("light", "phone"))
    _shoot(open_tab, "/admin/alerts/notification/", "deliveries", ("light", "phone"))
    for row in (
        Channel.objects.filter(name="demo-mail"),
        Route.objects.filter(name="demo-critical"),
    ):
        _shoot(
            open_tab,
            row[0].get_absolute_url(),
            f"{row[0]._meta.model_name}-change",
            ("light", "dark"),
        )
    told = Alert.objects.filter(severity="critical", state="firing").first()
    assert told is not None
    _shoot(open_tab, told.get_absolute_url(), "alert-explained", ("light", "phone"))


def test_logs(open_tab: Open) -> None:
    _shoot(open_tab, "/admin/logs/", "logs-unset", ("light", "phone"))
    now = timezone.now()
    said = random.Random(3)
    with fake_elasticsearch() as fake:
        make_elasticsearch(fake.url, name="elasticsearch")
        for _ in range(900):
            ago = said.expovariate(1 / 900) if said.random() < 0.7 else said.gauss(1200, 90)
            fake.documents.append(_log_line(now - timedelta(seconds=min(3500, max(1, ago))), said))
        _shoot(open_tab, "/admin/logs/?q=&service=checkout", "logs")
        _shoot(open_tab, "/admin/logs/?context=id-7", "logs-context", ("light", "dark", "phone"))
        _shoot(open_tab, "/admin/logs/?q=level:(", "logs-refused", ("light", "dark", "phone"))
        _shoot(open_tab, "/admin/logs/?q=nothing", "logs-empty", ("light",))
    _shoot(open_tab, "/admin/logs/", "logs-down", ("light", "dark"))


def _log_line(at: datetime, said: random.Random) -> dict[str, Any]:
    level, message = said.choice(
        [("info", "POST /checkout/pay 200"), ("info", "GET /cart 200"), ("debug", "cache hit for basket 4711"),
         ("warning", "payment provider answered after 2.4 s"), ("info", "POST /checkout/pay 201"),
         ("error", "PaymentError: provider refused the card: insufficient funds (request 7f3a)"),
         ("info", "order 90817 confirmed, mail queued for the customer with the invoice attached and 3 items")]
    )  # fmt: skip
    return wire_line(at, message, **{
        "log.level": level, "service.name": "checkout", "host.name": "web-2",
        "trace.id": f"{said.getrandbits(128):032x}", "url.path": "/checkout/pay",
        "http.response.status_code": 200, "process.pid": 41,
    })  # fmt: skip


def test_demonstration(open_tab: Open) -> None:
    """Shoot the pages that `seed_demo` fills, one of each kind."""
    make_user()  # to whom filters and searches belong
    demo.seed(demo.Sizes())
    service = Service.objects.get(slug="checkout")
    _shoot(open_tab, "/admin/timeline/", "timeline")
    _shoot(open_tab, "/admin/timeline/?service=checkout&kind=flag&kind=status", "timeline-service")
    for flag in Flag.objects.filter(rule="mass_export"):
        _shoot(open_tab, flag.get_absolute_url(), "flag")
    _shoot(open_tab, service.get_absolute_url(), "service-checks", ("light", "phone"))
    check = service.checks.get(kind="http")
    _shoot(open_tab, check.get_absolute_url(), "check", ("light", "dark"))
    _shoot(open_tab, f"/admin/services/{service.slug}/snippets/", "snippets", ("light", "phone"))
    for name, path in DEMO_LISTS.items():
        _shoot(open_tab, path, name, ("light",))
    _shoot(open_tab, DEMO_LISTS["audit"], "audit", ("dark", "phone"))
    _shoot(open_tab, "/admin/alert-analytics/?window=30d", "alert-analytics")
    for name, row in (
        ("audit-entry", AuditEntry.objects.latest("id")),
        ("export", ExportRecord.objects.latest("pk")),
        ("siem-destination", SiemDestination.objects.latest("pk")),
    ):
        _shoot(open_tab, row.get_absolute_url(), name)


def test_rules(open_tab: Open, prometheus_url: str) -> None:
    demo.seed(demo.Sizes(alerts=0, audit_entries=0, services=12, issues=0))
    prometheus = make_upstream(name="prometheus", kind="prometheus", url=prometheus_url)
    rule = Rule.objects.filter(name__endswith="Down").first()
    assert rule is not None
    Rule.objects.filter(pk=rule.pk).update(
        upstream=prometheus, expr="up >= 0", labels={"team": "payments"}
    )
    _shoot(open_tab, "/admin/monitoring/rule/", "rules", ("light", "dark", "phone"))
    _shoot(open_tab, "/admin/monitoring/scrapetarget/", "scrape-targets", ("light",))
    _shoot(open_tab, rule.service.get_absolute_url(), "service-targets", ("light",))  # type: ignore[union-attr]
    for look, dark, viewport in LOOKS:
        tab = open_tab(dark=dark, viewport=viewport)
        tab.page.goto(rule.get_absolute_url())
        tab.page.get_by_role("button", name="Preview now").click()
        tab.page.get_by_text("would fire now").wait_for()
        tab.page.screenshot(path=FOLDER / f"rule-{look}.png")
        assert tab.complaints == []


def test_doctor(open_tab: Open) -> None:
    with fake_elasticsearch() as fake:
        make_elasticsearch(fake.url, name="elasticsearch")
        make_upstream(name="prometheus", kind="prometheus")
        for look, dark, viewport in LOOKS:
            tab = open_tab(dark=dark, viewport=viewport)
            tab.page.goto("/admin/doctor/")
            tab.page.get_by_role("button", name="Run checks now").click()
            tab.page.get_by_text("No worker has sent a heartbeat").wait_for()
            tab.page.screenshot(path=FOLDER / f"doctor-{look}.png", full_page=True)
            assert (tab.complaints, tab.overflow()) == ([], 0)
