"""A poll through its task, against a server that answers as Sentry or as GlitchTip does."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alerts.models import Alert
from monitoring import connection_test
from monitoring.errors import bounds, services, sync
from monitoring.models import ErrorIssue, ErrorSync, ErrorTally, ErrorTransition
from monitoring.sentry import Page, Sentry
from monitoring.tasks import poll_upstream
from portal.core.http import Fault, UpstreamError
from portal.core.models import Upstream
from tests.factories import make_sentry, make_service
from tests.fakes import stamp
from tests.sentry import FakeSentry, fake_sentry, wire_issue

pytestmark = pytest.mark.django_db


@pytest.fixture
def sentry() -> Iterator[FakeSentry]:
    with fake_sentry() as fake:
        yield fake


@pytest.fixture
def upstream(sentry: FakeSentry) -> Upstream:
    return make_sentry(sentry.url, live=False)


def poll(upstream: Upstream) -> Upstream:
    poll_upstream(upstream.pk)
    upstream.refresh_from_db()
    return upstream


def whole_again(upstream: Upstream) -> Upstream:
    """Poll as if the last reading of the whole list were long ago."""
    long_ago = timezone.now() - timedelta(days=2)
    ErrorSync.objects.filter(upstream=upstream).update(full_completed_at=long_ago)
    return poll(upstream)


def steps(issue_id: str = "1") -> list[str]:
    rows = ErrorTransition.objects.filter(issue__issue_id=issue_id).order_by("id")
    return [str(kind) for kind in rows.values_list("kind", flat=True)]


@pytest.mark.parametrize("dialect", ["sentry", "glitchtip"])
def test_all_pages_become_rows(sentry: FakeSentry, upstream: Upstream, dialect: str) -> None:
    sentry.dialect = dialect
    sentry.add(*(wire_issue(n) for n in range(1, 251)))
    assert poll(upstream).error == ""
    assert ErrorIssue.objects.count() == 250
    assert ErrorTransition.objects.filter(kind="new").count() == 250
    assert upstream.observed["unresolved"] == 250
    issue = ErrorIssue.objects.get(issue_id="7")
    assert (issue.project, issue.count, issue.user_count, issue.level) == ("shop", 17, 0, "error")
    assert issue.raw["metadata"]["value"] == "bad thing 7"


def test_the_first_error_of_a_sentry_that_was_empty_is_seen_at_the_next_poll_and_is_new(
    sentry: FakeSentry,
) -> None:
    upstream = make_sentry(sentry.url, options={"alert_projects": ["shop"]})
    poll(upstream)
    poll(upstream)
    now = datetime.now(UTC)
    sentry.add(wire_issue(1, firstSeen=stamp(now), lastSeen=stamp(now)))
    poll(upstream)
    assert steps() == ["new"]
    assert Alert.objects.get().labels["issue"] == "1"
    assert ErrorTally.objects.get().events == 11


def test_a_repeated_poll_reads_one_page_and_writes_nothing(
    sentry: FakeSentry, upstream: Upstream
) -> None:
    sentry.add(*(wire_issue(n) for n in range(1, 351)))
    poll(upstream)
    sentry.requests.clear()
    with CaptureQueriesContext(connection) as queries:
        poll(upstream)
    assert len(sentry.requests) == 1
    writes = [q["sql"] for q in queries if not q["sql"].startswith(("SELECT", "\nSELECT"))]
    assert all("core_upstream" in sql for sql in writes), writes


def test_a_whole_reading_without_a_change_writes_only_where_it_is(
    sentry: FakeSentry, upstream: Upstream
) -> None:
    sentry.add(*(wire_issue(n) for n in range(1, 351)))
    poll(upstream)
    with CaptureQueriesContext(connection) as queries:
        whole_again(upstream)
    writes = [q["sql"] for q in queries if q["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
    assert not [sql for sql in writes if "monitoring_errorissue" in sql.split("WHERE")[0]]


def test_transitions_follow_the_status(sentry: FakeSentry, upstream: Upstream) -> None:
    sentry.add(wire_issue(1, substatus=None))
    poll(upstream)
    sentry.set(1, status="resolved")
    poll(upstream)
    sentry.set(1, status="unresolved", lastSeen=stamp(datetime.now(UTC)))
    poll(upstream)
    sentry.set(1, status="ignored")
    poll(upstream)
    sentry.set(1, status="unresolved", assignedTo={"type": "team", "id": "3", "name": "shop"})
    poll(upstream)
    assert steps() == ["new", "resolved", "regressed", "ignored", "reopened", "assigned"]
    assert ErrorIssue.objects.get().regressed_at is not None
    assert ErrorIssue.objects.get().assigned_to == "team shop"


def test_what_was_resolved_in_sentry_is_found_by_the_whole_reading(
    sentry: FakeSentry, upstream: Upstream
) -> None:
    sentry.add(*(wire_issue(n) for n in range(1, 351)))
    poll(upstream)
    sentry.set(340, status="resolved")
    poll(upstream)
    assert ErrorIssue.objects.get(issue_id="340").status == "unresolved"
    whole_again(upstream)
    assert ErrorIssue.objects.get(issue_id="340").status == "resolved"


def test_what_became_as_it_was_before_somebody_resolved_it_here_is_seen(
    sentry: FakeSentry, upstream: Upstream
) -> None:
    """Byte for byte the item that was read last; what is listed so needs no decoding otherwise."""
    sentry.add(*(wire_issue(n) for n in range(1, 351)))
    poll(upstream)
    services.resolve([ErrorIssue.objects.get(issue_id="340")], actor=None)
    sentry.set(340, status="unresolved", substatus="ongoing")
    whole_again(upstream)
    assert ErrorIssue.objects.get(issue_id="340").status == "unresolved"


def test_an_event_that_the_list_shows_late_is_read_all_the_same(
    sentry: FakeSentry, upstream: Upstream
) -> None:
    now, sentry.page_size = datetime.now(UTC), 2
    for number in (1, 2, 3):
        sentry.add(wire_issue(number, lastSeen=stamp(now - timedelta(minutes=number))))
    del sentry.issues["3"]
    poll(upstream)
    sentry.add(wire_issue(3, lastSeen=stamp(now - timedelta(minutes=3))))
    poll(upstream)
    assert ErrorIssue.objects.filter(issue_id="3").exists()


def test_short_and_empty_pages_resolve_nothing_and_end_nothing(
    sentry: FakeSentry, upstream: Upstream
) -> None:
    sentry.add(*(wire_issue(n) for n in range(1, 251)))
    poll(upstream)
    sentry.empty_pages = 2
    assert whole_again(upstream).error == ""
    assert ErrorIssue.objects.unresolved().count() == 250
    assert ErrorIssue.objects.filter(issue_id="250", gone_at__isnull=True).exists()
    assert ErrorTransition.objects.exclude(kind="new").count() == 0


def test_a_deleted_issue_is_gone_once_the_server_says_so(
    sentry: FakeSentry, upstream: Upstream
) -> None:
    sentry.add(wire_issue(1), wire_issue(2))
    poll(upstream)
    del sentry.issues["2"]
    poll(upstream)
    assert steps("2") == ["new"]
    whole_again(upstream)
    assert steps("2") == ["new", "gone"]
    gone = ErrorIssue.objects.get(issue_id="2")
    assert (gone.status, gone.gone_at is not None) == ("unresolved", True)
    sentry.add(wire_issue(2))
    poll(upstream)
    assert steps("2") == ["new", "gone", "returned"]


@pytest.mark.parametrize("short", [True, False])
def test_an_issue_that_the_list_lacked_is_asked_for_by_the_path_that_the_server_has(
    sentry: FakeSentry, upstream: Upstream, short: bool
) -> None:
    sentry.short_paths = short
    sentry.add(*(wire_issue(n) for n in range(1, 251)))
    poll(upstream)
    sentry.empty_pages = 1
    for _ in range(6):
        assert whole_again(upstream).error == ""
    assert not ErrorIssue.objects.filter(gone_at__isnull=False).exists()
    sentry.empty_pages = 0
    del sentry.issues["250"]
    whole_again(upstream)
    assert steps("250") == ["new", "gone"]


def test_a_poll_that_fails_half_way_goes_on_there(sentry: FakeSentry, upstream: Upstream) -> None:
    sentry.add(*(wire_issue(n) for n in range(1, 601)))
    sentry.refuse_after, sentry.refuse = 3, 503
    assert "HTTP 503" in poll(upstream).error
    assert ErrorIssue.objects.count() == 300
    sentry.refuse_after = sentry.refuse = None
    sentry.requests.clear()
    assert poll(upstream).error == ""
    assert ErrorIssue.objects.count() == 600
    assert len(sentry.requests) == 1 + 3  # the newest page again, then what was left


def test_a_cursor_that_the_server_forgot_begins_the_list_again(
    sentry: FakeSentry, upstream: Upstream
) -> None:
    sentry.add(*(wire_issue(n) for n in range(1, 301)))
    poll(upstream)
    ErrorSync.objects.update(full_started_at=timezone.now(), full_cursor="cursor=torn")
    state = sync.Run(upstream, ErrorSync.objects.get(), Sentry(upstream))
    answers = iter([422, None])

    def ask(query: str | None) -> Page:
        if next(answers, None):
            raise UpstreamError(Fault.REJECTED, "Invalid cursor.", status=422)
        return state.client.issues(query)

    state._ask = ask  # type: ignore[method-assign]
    state._full()
    assert state.state.full_completed_at is not None


def test_pages_that_lead_in_a_circle_end(sentry: FakeSentry, upstream: Upstream) -> None:
    sentry.add(wire_issue(1))
    poll(upstream)
    run = sync.Run(upstream, ErrorSync.objects.get(), Sentry(upstream))
    page, asked = run.client.issues(), list[str | None]()
    onward = {None: "cursor=a", "cursor=a": "cursor=b", "cursor=b": "cursor=a"}

    def ask(query: str | None) -> Page:
        asked.append(query)
        return replace(page, next_query=onward[query])

    run._ask = ask  # type: ignore[method-assign]
    run._recent(page.issues[0].last_seen_at)
    run._full()
    assert asked == [None, "cursor=a", "cursor=b"] * 2
    assert run.state.full_started_at is None


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "300"}, {"X-Sentry-Rate-Limit-Reset": "{reset}"}], ids=str
)
def test_429_is_waited_for_and_said(
    sentry: FakeSentry, upstream: Upstream, headers: dict[str, str]
) -> None:
    reset = datetime.now(UTC) + timedelta(seconds=300)
    headers = {name: value.format(reset=int(reset.timestamp())) for name, value in headers.items()}
    sentry.refuse, sentry.refusal_headers = 429, headers
    poll(upstream)
    assert abs(upstream.next_run_at - reset) < timedelta(seconds=5)
    assert "accepts no more requests until" in upstream.error
    assert Upstream.objects.due(at=timezone.now() + timedelta(seconds=290)).count() == 0


def test_a_spent_rate_limit_ends_the_poll_before_the_429(
    sentry: FakeSentry, upstream: Upstream
) -> None:
    sentry.add(*(wire_issue(n) for n in range(1, 301)))
    reset = int((datetime.now(UTC) + timedelta(seconds=120)).timestamp())
    sentry.extra_headers = {
        "X-Sentry-Rate-Limit-Remaining": "0",
        "X-Sentry-Rate-Limit-Reset": str(reset),
    }
    poll(upstream)
    assert len(sentry.requests) == 1
    assert upstream.error == ""
    assert "rate limit is used up" in upstream.warning
    assert upstream.next_run_at.timestamp() >= reset


def test_the_next_page_is_asked_of_the_configured_host_only(
    sentry: FakeSentry, upstream: Upstream
) -> None:
    sentry.add(*(wire_issue(n) for n in range(1, 151)))
    with fake_sentry() as other:
        sentry.link_host = other.url
        assert poll(upstream).error == ""
        assert other.requests == []
    assert ErrorIssue.objects.count() == 150


@pytest.mark.parametrize(
    "mood, words",
    [
        ({"refuse": 401}, "rejected the token"),
        ({"refuse": 403}, "Give it the scopes org:read, project:read and event:read"),
        ({"organization": "other"}, "has no organisation 'acme'"),
        ({"body": b"<!doctype html><title>Login</title>"}, "an HTML page instead of JSON"),
        ({"body": b'{"hello": "world"}'}, "does not answer like Sentry"),
        ({"body": b"plain"}, "something that is not JSON"),
        ({"refuse": 500}, "HTTP 500"),
    ],
    ids=str,
)
def test_what_is_wrong_is_one_sentence(
    sentry: FakeSentry, upstream: Upstream, mood: dict[str, object], words: str
) -> None:
    for name, value in mood.items():
        setattr(sentry, name, value)
    assert words in poll(upstream).error
    assert words in connection_test.run(upstream, actor=None).sentence


def test_an_upstream_without_organisation_says_what_to_set(sentry: FakeSentry) -> None:
    upstream = make_sentry(sentry.url, options={"organization": ""})
    assert "Set SENTRY_ORG" in poll(upstream).error


@pytest.mark.parametrize("dialect", ["sentry", "glitchtip"])
def test_connection_test(sentry: FakeSentry, upstream: Upstream, dialect: str) -> None:
    sentry.dialect = dialect
    sentry.add(wire_issue(1))
    result = connection_test.run(upstream, actor=None)
    assert (result.ok, result.sentence) == (True, "acme answers with 1 issues, all there are.")


def test_bad_items_are_counted_and_the_rest_is_kept(sentry: FakeSentry, upstream: Upstream) -> None:
    sentry.add(wire_issue(1, title="nul \x00 and half \ud800"), {**wire_issue(2), "firstSeen": "x"})
    poll(upstream)
    assert upstream.error == ""
    assert "1 issues could not be read" in upstream.warning
    assert ErrorIssue.objects.get().title == "nul � and half �"


def test_an_endless_list_is_read_a_poll_at_a_time_and_said(
    sentry: FakeSentry, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MOST_PAGES", 3)
    sentry.add(*(wire_issue(n) for n in range(1, 701)))
    poll(upstream)
    assert ErrorIssue.objects.count() == 300
    assert "300 issues on 3 pages were read, the limit of one poll" in upstream.warning
    sentry.requests.clear()
    poll(upstream)
    assert ErrorIssue.objects.count() == 500  # the newest page, then two from the cursor on
    assert len(sentry.requests) == 3
    while ErrorSync.objects.get().full_completed_at is None and len(sentry.requests) < 20:
        poll(upstream)
    assert ErrorIssue.objects.count() == 700


def test_more_than_is_kept_of_one_server_is_left_out_and_said(
    sentry: FakeSentry, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MOST_KEPT", 250)
    sentry.add(*(wire_issue(n) for n in range(1, 701)))
    poll(upstream)
    assert "more than 250 issues, the limit for one Sentry" in upstream.warning
    assert len(sentry.requests) == 3
    assert ErrorIssue.objects.count() == 250
    assert not ErrorIssue.objects.filter(missing_since__isnull=False).exists()
    late = stamp(datetime.now(UTC))
    sentry.set(3, count="999", lastSeen=late)
    sentry.add(wire_issue(900, lastSeen=late))
    poll(upstream)
    assert "are left out" in upstream.warning
    assert ErrorIssue.objects.get(issue_id="3").count == 999
    assert ErrorIssue.objects.count() == 250


def test_an_organisation_that_leads_elsewhere_is_not_asked_for(sentry: FakeSentry) -> None:
    upstream = make_sentry(sentry.url, options={"organization": ".."})
    assert "is not a valid slug" in poll(upstream).error
    assert sentry.requests == []


def test_services_by_matcher_and_by_project(sentry: FakeSentry, upstream: Upstream) -> None:
    shop = make_service(slug="shop", matchers=[])
    mobile = make_service(slug="app", matchers=['platform="cocoa"'])
    sentry.add(wire_issue(1), wire_issue(2, platform="cocoa"), wire_issue(3, project="nobody"))
    poll(upstream)
    found = dict(ErrorIssue.objects.values_list("issue_id", "service"))
    assert found == {"1": shop.pk, "2": mobile.pk, "3": None}


def test_only_the_projects_of_the_option_are_kept(sentry: FakeSentry) -> None:
    upstream = make_sentry(sentry.url, options={"projects": ["shop"]})
    sentry.add(wire_issue(1), wire_issue(2, project="mail"))
    poll(upstream)
    assert [issue.project for issue in ErrorIssue.objects.all()] == ["shop"]


def test_events_are_tallied_as_they_arrive(sentry: FakeSentry, upstream: Upstream) -> None:
    sentry.add(wire_issue(1, count="10"))
    poll(upstream)
    sentry.set(1, count="25", lastSeen=stamp(datetime.now(UTC)))
    sentry.add(wire_issue(2, count="4", firstSeen=stamp(datetime.now(UTC))))
    poll(upstream)
    assert sum(ErrorTally.objects.values_list("events", flat=True)) == 15 + 4


def test_new_and_regressed_errors_raise_alerts_where_asked(sentry: FakeSentry) -> None:
    upstream = make_sentry(sentry.url, options={"alert_projects": ["shop"]})
    sentry.add(wire_issue(1))
    poll(upstream)
    assert not Alert.objects.exists()
    fresh = {"firstSeen": stamp(datetime.now(UTC)), "lastSeen": stamp(datetime.now(UTC))}
    sentry.add(wire_issue(2, **fresh), wire_issue(3, project="mail", **fresh))
    poll(upstream)
    alert = Alert.objects.get()
    assert (alert.alertname, alert.labels["issue"], alert.state) == (
        "ApplicationError",
        "2",
        "firing",
    )
    sentry.set(2, status="resolved")
    poll(upstream)
    assert Alert.objects.get().state == "resolved"


def test_a_first_reading_that_takes_several_polls_raises_no_alert_for_what_is_old(
    sentry: FakeSentry,
) -> None:
    upstream = make_sentry(sentry.url, options={"alert_projects": ["shop"]})
    sentry.add(*(wire_issue(n) for n in range(1, 601)))
    sentry.refuse_after, sentry.refuse = 3, 503
    poll(upstream)
    sentry.refuse_after = 5
    sentry.requests.clear()
    now = datetime.now(UTC)
    sentry.add(wire_issue(700, firstSeen=stamp(now), lastSeen=stamp(now)))
    poll(upstream)
    sentry.refuse_after = sentry.refuse = None
    poll(upstream)
    assert ErrorIssue.objects.count() == 601
    assert [alert.labels["issue"] for alert in Alert.objects.all()] == ["700"]


@pytest.mark.parametrize(
    "level, severity", [("fatal", "critical"), ("error", "warning"), ("info", "info"), ("", "info")]
)
def test_the_severity_of_an_alert_follows_the_level_of_its_error(
    sentry: FakeSentry, level: str, severity: str
) -> None:
    upstream = make_sentry(sentry.url, options={"alert_projects": ["shop"]})
    poll(upstream)
    fresh = {"firstSeen": stamp(datetime.now(UTC)), "lastSeen": stamp(datetime.now(UTC))}
    sentry.add(wire_issue(1))
    poll(upstream)
    sentry.add(wire_issue(2, level=level, **fresh))
    poll(upstream)
    assert Alert.objects.get(labels__issue="2").severity == severity


@pytest.mark.parametrize("end", ["deleted", "option"])
def test_the_alert_of_an_error_ends_when_the_error_can_no_longer_be_seen(
    sentry: FakeSentry, end: str
) -> None:
    upstream = make_sentry(sentry.url, options={"alert_projects": ["shop"]})
    sentry.add(wire_issue(1))
    poll(upstream)
    fresh = {"firstSeen": stamp(datetime.now(UTC)), "lastSeen": stamp(datetime.now(UTC))}
    sentry.add(wire_issue(2, **fresh))
    poll(upstream)
    assert Alert.objects.get().state == "firing"
    if end == "deleted":
        del sentry.issues["2"]
    else:
        Upstream.objects.update(options={**upstream.options, "alert_projects": []})
        sentry.set(2, status="resolved")
    whole_again(upstream)
    assert Alert.objects.get().state == "resolved"


def test_a_poll_on_its_way_does_not_undo_what_somebody_did(
    sentry: FakeSentry, upstream: Upstream
) -> None:
    sentry.add(wire_issue(1))
    poll(upstream)
    ErrorIssue.objects.update(
        status="resolved", content_hash=b"", written_at=timezone.now() + timedelta(minutes=1)
    )
    poll(upstream)
    assert ErrorIssue.objects.get().status == "resolved"
    assert steps() == ["new"]


def test_an_address_with_the_path_of_the_api_works(sentry: FakeSentry) -> None:
    sentry.add(wire_issue(1))
    upstream = make_sentry(f"{sentry.url}/api/0/")
    assert poll(upstream).error == ""
    assert urlsplit(sentry.requests[0][1]).path == "/api/0/organizations/acme/issues/"
