"""Errors in the admin: list, detail, actions, and what is said when Sentry cannot be seen."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from monitoring.errors import events
from monitoring.models import ErrorIssue, ErrorTransition
from monitoring.tasks import poll_upstream
from tests.factories import (
    make_error,
    make_sentry,
    make_service,
    make_upstream,
    make_user,
    sign_in,
)
from tests.payloads import recorded
from tests.sentry import FakeSentry, fake_sentry, wire_issue

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/admin/monitoring/errorissue/"


@pytest.fixture
def staff(client: Client) -> Client:
    sign_in(client)
    return client


@pytest.fixture
def sentry() -> Iterator[FakeSentry]:
    with fake_sentry() as fake:
        fake.add(wire_issue(1), wire_issue(2))
        poll_upstream(make_sentry(fake.url).pk)
        yield fake


def html(client: Client, path: str) -> str:
    reply = client.get(path, follow=True)
    assert reply.status_code == 200
    return reply.content.decode()


def test_the_list_shows_what_is_unresolved_first(staff: Client) -> None:
    sentry = make_sentry()
    make_error(sentry, title="Open one")
    make_error(sentry, title="Closed one", status="resolved")
    page = html(staff, LIST)
    assert "Open one" in page
    assert "Closed one" not in page
    assert "Closed one" in html(staff, f"{LIST}?status=all")


def test_a_longer_list_costs_no_more_queries(staff: Client) -> None:
    sentry = make_sentry()
    make_error(sentry)
    staff.get(LIST)
    with CaptureQueriesContext(connection) as few:
        staff.get(LIST)
    for _ in range(5):
        make_error(sentry, service=make_service())
    with CaptureQueriesContext(connection) as more:
        staff.get(LIST)
    assert len(more) == len(few)


def test_an_empty_list_that_is_blind_says_so(staff: Client) -> None:
    assert "No Sentry is connected" in html(staff, LIST)
    make_sentry(error="Nothing is listening at sentry.example:9000.")
    assert "Nothing is listening at sentry.example:9000." in html(staff, LIST)


def test_the_page_of_an_error_has_its_numbers_trend_history_and_link(staff: Client) -> None:
    issue = make_error(count=1234, user_count=56, trend=[[1_770_000_000, 7], [1_770_003_600, 0]])
    kind, at = "regressed", timezone.now()
    ErrorTransition.objects.create(issue=issue, kind=kind, at=at, source="poll", text="It is back.")
    page = html(staff, issue.get_absolute_url())
    for words in (
        f'href="{issue.permalink}"',
        "1,234",
        "<dd>56</dd>",
        "UTC: 7 events",
        "It is back.",
    ):
        assert words in page, words


def test_what_a_sentry_says_is_text_and_no_link_to_scripts(staff: Client) -> None:
    issue = make_error(permalink="javascript:alert(1)", title="<b>bold</b>")
    page = html(staff, issue.get_absolute_url())
    assert "javascript:" not in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "SHOP-" in page


def test_a_button_changes_sentry_and_says_so(staff: Client, sentry: FakeSentry) -> None:
    issue = ErrorIssue.objects.get(issue_id="1")
    reply = staff.post(f"{LIST}{issue.pk}/resolve/", {"text": "Fixed"}, follow=True)
    assert "1 error resolved." in reply.content.decode()
    assert sentry.issues["1"]["status"] == "resolved"
    reply = staff.post(f"{LIST}{issue.pk}/assign/", {"to": "team:3"}, follow=True)
    assert "1 error assigned." in reply.content.decode()


def test_a_refusal_is_shown_in_words(staff: Client, sentry: FakeSentry) -> None:
    sentry.refuse = 403
    issue = ErrorIssue.objects.get(issue_id="1")
    reply = staff.post(f"{LIST}{issue.pk}/resolve/", {"text": "Fixed by 4.2"}, follow=True)
    assert "Nothing was changed. The token may not change issues" in reply.content.decode()
    assert "Fixed by 4.2" in reply.text  # typed once, kept for the next attempt
    assert "Fixed by 4.2" not in staff.get(issue.get_absolute_url()).text
    reply = staff.post(f"{LIST}{issue.pk}/assign/", {"to": "two words"}, follow=True)
    assert 'value="two words"' in reply.text


def test_the_list_resolves_several(staff: Client, sentry: FakeSentry) -> None:
    chosen = list(ErrorIssue.objects.values_list("pk", flat=True))
    reply = staff.post(LIST, {"action": "resolve", "_selected_action": chosen}, follow=True)
    assert "2 errors resolved." in reply.content.decode()
    assert {issue["status"] for issue in sentry.issues.values()} == {"resolved"}


def test_a_viewer_sees_and_cannot_act(client: Client) -> None:
    viewer = make_user(is_superuser=False)
    viewer.user_permissions.add(Permission.objects.get(codename="view_errorissue"))
    sign_in(client, viewer)
    issue = make_error()
    assert "Resolve</button>" not in html(client, issue.get_absolute_url())
    assert client.post(f"{LIST}{issue.pk}/resolve/").status_code == 403


def test_the_latest_event_or_the_reason_why_not(staff: Client, sentry: FakeSentry) -> None:
    issue = ErrorIssue.objects.get(issue_id="1")
    assert "HTTP 404" in html(staff, f"{LIST}{issue.pk}/event/")
    sentry.event = recorded.body("sentry/gt-issue-latest.json")
    page = html(staff, f"{LIST}{issue.pk}/event/")
    assert "TypeError: bad thing kind 31" in page
    assert "boom" in page
    assert "Events, 14 days" in page
    assert "UTC: 3 events" in page


def test_the_latest_event_leads_to_its_trace_and_the_log_lines_of_it(
    staff: Client, sentry: FakeSentry, settings: Settings
) -> None:
    issue = ErrorIssue.objects.get(issue_id="1")
    sentry.event = recorded.body("sentry/gt-issue-latest.json")
    trace = "d24f1c58e27043dc844a2ef5bbba6498"
    page = html(staff, f"{LIST}{issue.pk}/event/")
    assert f'<span class="portal-code">{trace}</span>' in page
    settings.TRACES_URL = "https://traces.example"
    make_upstream(kind="elasticsearch")
    page = html(staff, f"{LIST}{issue.pk}/event/")
    assert f'href="https://traces.example/trace/{trace}"' in page
    assert f"q=trace.id%3A%22{trace}%22" in page


@pytest.mark.parametrize(
    "decoded", [None, [], {"entries": 7}, {"entries": [{"type": "exception", "data": []}]},
                {"entries": [{"type": "exception", "data": {"values": [None, {"stacktrace": {"frames": [3]}}]}}],
                 "tags": [{"key": None}, 5]}, {"contexts": {"trace": 7}}, {"contexts": {"trace": {"trace_id": "<b>"}}}],
    ids=str,
)  # fmt: skip
def test_no_event_breaks_its_reader(decoded: object) -> None:
    found = events.latest(decoded)
    assert (found.id, found.trace_id) == ("", "")


def test_the_dashboard_counts_and_never_calls_blindness_good_news(staff: Client) -> None:
    assert "errors cannot be seen" in html(staff, "/admin/")
    service = make_service(slug="shop", name="Shop")
    make_error(make_sentry(), title="Frequent one", service=service)
    page = html(staff, "/admin/")
    assert "Frequent one" in page
    facts = staff.get("/api/v1/dashboard/").json()
    assert (facts["errors"]["unresolved"], facts["errors_sight"]["state"]) == (1, "clear")
    assert len(facts["errors"]["trend"]) == 24
    assert "Frequent one" in html(staff, service.get_absolute_url())
