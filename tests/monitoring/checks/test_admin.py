"""Checks and services' pages in the admin."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alerts.models import Alert
from monitoring import status
from monitoring.checks import alerting
from monitoring.models import Check, CheckHour, Deploy, StatusChange
from tests.factories import make_check, make_service, sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    sign_in(client)
    return client


def form(check: Check, **over: object) -> dict[str, object]:
    names = (
        "name", "kind", "target", "method", "expected_status", "comparison", "threshold", "interval_seconds",
        "timeout_seconds", "failures_to_flip", "successes_to_recover", "severity", "expiry_warning_days",
    )  # fmt: skip
    facts = {name: getattr(check, name) for name in names}
    return {**facts, "service": check.service_id, "enabled": "on", "raises_alert": "on", **over}


def test_saving_the_form_leaves_the_runners_columns_alone(staff: Client) -> None:
    check = make_check()
    Check.objects.filter(pk=check.pk).update(status="down", pending_count=2)
    answer = staff.post(check.get_absolute_url(), form(check, name="renamed"))
    assert answer.status_code == 302, answer.content.decode()[-3000:]
    after = Check.objects.get(pk=check.pk)
    assert (after.name, after.status, after.pending_count) == ("renamed", "down", 2)


def test_headers_are_stored_and_never_shown(staff: Client) -> None:
    check = make_check()
    typed = form(check, new_headers="Authorization: Bearer sesame\nX-A: b")
    assert staff.post(check.get_absolute_url(), typed).status_code == 302
    after = Check.objects.get(pk=check.pk)
    assert after.headers == {"Authorization": "Bearer sesame", "X-A": "b"}
    page = staff.get(check.get_absolute_url()).content.decode()
    assert "sesame" not in page
    assert "set: Authorization, X-A" in page


@pytest.mark.parametrize("written", ["no colon", "Bad Name: x", "Ü: x", ": x", "X:"])
def test_a_line_that_is_no_header_is_refused(staff: Client, written: str) -> None:
    check = make_check()
    answer = staff.post(check.get_absolute_url(), form(check, new_headers=written))
    assert "is not a header" in answer.content.decode()


def test_a_checks_page_shows_uptime_latency_and_changes(staff: Client) -> None:
    check, now = make_check(), timezone.now()
    for hours, new in ((30, "up"), (3, "down"), (2, "up")):
        StatusChange.objects.create(
            service=check.service,
            check_row=check,
            new_status=new,
            reason="HTTP 500.",
            at=now - timedelta(hours=hours),
        )
    CheckHour.objects.create(
        check_row=check,
        hour=now - timedelta(hours=2),
        runs=10,
        failures=1,
        latency_sum=2,
        latency_max=1.5,
    )
    page = staff.get(check.get_absolute_url()).content.decode()
    for words in (
        "95.833 %",
        "1 incident",
        "up to 200 ms",
        "slowest single result 1.5 s",
        "HTTP 500.",
    ):
        assert words in page, words


def test_a_services_page_shows_checks_and_deploys(staff: Client) -> None:
    service = make_service()
    check = make_check(service=service, name="Front page", status="down")
    Deploy.objects.create(service=service, version="v1.2.3", environment="prod")
    status.update_now(service.pk)
    page = staff.get(service.get_absolute_url()).content.decode()
    for words in ("Front page", check.get_absolute_url(), "v1.2.3", "Down"):
        assert words in page, words


def test_the_lists_take_the_same_queries_for_2_and_40_checks(staff: Client) -> None:
    service = make_service()

    def queries(path: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert staff.get(path).status_code == 200
        return len(captured)

    paths = ["/admin/monitoring/check/", service.get_absolute_url(), "/api/v1/checks/"]
    for _ in range(2):
        make_check(service=service)
    few = [queries(path) for path in paths for _ in range(2)][1::2]
    for _ in range(38):
        make_check(service=service)
    assert [queries(path) for path in paths] == few


def test_run_now_says_what_came_back(staff: Client) -> None:
    check = make_check(target="http://127.0.0.1:9/", timeout_seconds=1)
    assert "Run now" in staff.get(check.get_absolute_url()).content.decode()
    page = staff.post(f"/admin/monitoring/check/{check.pk}/run/", follow=True)
    assert "connection refused" in page.content.decode()


def test_another_severity_reaches_the_open_alert_at_once(staff: Client) -> None:
    check = make_check(status="down", sentence="HTTP 500.", severity="warning")
    alerting.raise_for(check, "down", check.sentence, at=timezone.now())
    assert staff.post(check.get_absolute_url(), form(check, severity="critical")).status_code == 302
    alert = Alert.objects.get(alertname="CheckFailing")
    assert (alert.severity, alert.labels["severity"]) == ("critical", "critical")
    assert [t.text for t in alert.transitions.filter(kind="severity")] == ["warning → critical"]
    Check.objects.filter(pk=check.pk).update(status="up")
    alerting.end(check, reason="It answers again.")
    assert staff.post(check.get_absolute_url(), form(check, severity="info")).status_code == 302
    assert not Alert.objects.open().exists()
