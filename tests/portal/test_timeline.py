"""The timeline: streams of all apps, merged by keyset, page by page."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alerts import services as desk
from audit import services as audit
from audit.models import AuditEntry
from monitoring.checks.models import Check
from monitoring.models import Deploy, ErrorTransition, StatusChange
from portal.core.models import Service
from portal.core.timeline import Cursor
from portal.timeline import KINDS, STREAMS
from security import tokens
from security.models import FlagService
from tests.factories import (
    make_alert,
    make_error,
    make_flag,
    make_sentry,
    make_service,
    make_silence,
    make_user,
    sign_in,
)

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def bearer(*scopes: str) -> Client:
    token = tokens.create(user=make_user(), name="t", scopes=list(scopes))[1]
    return Client(headers={"Authorization": f"Bearer {token}"})


def fill(count: int = 3) -> None:
    """Make `count` events in each stream, several at the very same moment."""
    service, sentry = make_service(slug="shop"), make_sentry()
    issue = make_error(sentry, service=service)
    for n in range(count):
        at = NOW - timedelta(minutes=n // 2)
        facts: dict[str, Any] = {"starts_at": at, "service": service}
        make_alert(**facts)
        make_alert(**facts, state="resolved", ends_at=at)
        matchers = [{"name": "service", "operator": "=", "value": "shop"}]
        make_silence(starts_at=at, matchers=matchers)
        StatusChange.objects.create(service=service, new_status="down", at=at)
        Deploy.objects.create(service=service, version=f"v{n}", at=at, uid=uuid.uuid4())
        ErrorTransition.objects.create(
            issue=issue, service=service, kind="new", at=at, source="poll"
        )
        make_flag(opened_at=at, services=["shop", "till"])
        audit.record("config.changed", target=service)
    # The numbers of these rows are those of no flag: a page goes on by the flag's.
    FlagService.objects.update(id=F("id") + 10**9)


def walk(client: Client, path: str) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for _ in range(200):
        body = client.get(path).json()
        found += [(event["stream"], event["id"]) for event in body["results"]]
        if not body["next"]:
            return found
        parts = urlsplit(body["next"])
        path = f"{parts.path}?{parts.query}"
    raise AssertionError("The timeline does not end.")


@pytest.mark.parametrize("size", [1, 2, 5, 7])
def test_pages_of_any_size_give_the_same_events_once(size: int) -> None:
    fill()
    client = bearer("admin")
    whole = [
        (e["stream"], e["id"])
        for e in client.get("/api/v1/timeline/?page_size=500").json()["results"]
    ]
    assert set(STREAMS) == {stream for stream, _ in whole}
    kinds = "kind=alert,silence,status,deploy,error,flag"  # looking is itself an audited action
    expected = [event for event in whole if event[0] != "audit"]
    assert walk(client, f"/api/v1/timeline/?{kinds}&page_size={size}") == expected
    flags = [event for event in whole if event[0] == "flag.opened"]
    path = f"/api/v1/services/shop/timeline/?kind=flag&page_size={size}"
    assert (walk(client, path), len(flags)) == (flags, 3)


def test_events_come_newest_first_and_carry_what_a_reader_needs() -> None:
    fill(1)
    events = bearer("admin").get("/api/v1/timeline/").json()["results"]
    assert [e["at"] for e in events] == sorted((e["at"] for e in events), reverse=True)
    deploy = next(e for e in events if e["stream"] == "deploy")
    assert (deploy["service"], "v0" in deploy["title"], deploy["url"] != "") == ("shop", True, True)


def test_a_service_has_the_actions_on_what_belongs_to_it_and_those_its_application_told() -> None:
    shop, other = make_service(slug="shop"), make_service(slug="other")
    desk.acknowledge([make_alert(service=shop), make_alert(service=other)], actor=make_user())
    check = Check.objects.create(
        service=shop, name="front", kind="http", target="http://192.0.2.1/"
    )
    check.delete()
    shop.team = "tills"
    shop.save()
    told = [{"action": "invoice.voided", "data": {"service": slug}} for slug in ("shop", "other")]
    bearer("audit:write").post("/api/v1/audit/entries/", told, "application/json")
    path = "/api/v1/services/shop/timeline/?kind=audit"
    events = bearer("read", "audit:read").get(path).json()["results"]
    assert {event["service"] for event in events} == {"shop"}
    assert sorted((event["action"], event["title"]) for event in events) == [
        ("alert.acknowledged", "Alert acknowledged"), ("invoice.voided", "Invoice voided"),
        ("object.created", "Check created"), ("object.created", "Service created"),
        ("object.deleted", "Check deleted"), ("object.updated", "Service updated"),
    ]  # fmt: skip


def test_what_was_told_of_a_deleted_service_stays_told() -> None:
    make_service(slug="gone").delete()
    entry = AuditEntry.objects.of_service("gone").get(action="object.deleted")
    assert entry.target_type == "core.service"


def test_one_service_and_one_span_of_time() -> None:
    fill()
    make_alert(starts_at=NOW, service=make_service(slug="other"))
    client = bearer("read")
    found = client.get("/api/v1/services/shop/timeline/?page_size=500").json()["results"]
    assert {e["service"] for e in found} <= {"shop", ""}
    assert {e["stream"] for e in found} >= {"alert.fired", "deploy", "error", "silence.began"}
    none = client.get("/api/v1/timeline/?until=2020-01-01T00:00:00Z").json()["results"]
    assert none == []
    since = (NOW - timedelta(seconds=30)).isoformat().replace("+00:00", "Z")
    few = client.get(f"/api/v1/timeline/?service=shop&kind=deploy&since={since}").json()["results"]
    assert len(few) == 2


def test_a_service_has_the_silences_that_name_it() -> None:
    for slug in ("shop", "other"):
        make_service(slug=slug)
        matchers = [{"name": "service", "operator": "=", "value": slug}]
        make_silence(starts_at=NOW, matchers=matchers, comment=f"work on {slug}")
    (found,) = bearer("read").get("/api/v1/services/shop/timeline/?kind=silence").json()["results"]
    assert "work on shop" in found["detail"]


def test_a_token_without_audit_read_sees_no_actions_and_is_told() -> None:
    fill(1)
    body = bearer("read").get("/api/v1/timeline/").json()
    assert (body["hidden"], "audit" in {e["stream"] for e in body["results"]}) == (["audit"], False)


@pytest.mark.parametrize(
    "path",
    ["/api/v1/timeline/", "/api/v1/services/shop/timeline/", "/admin/timeline/?service=shop"],
)
def test_the_number_of_queries_is_fixed(path: str) -> None:
    client = Client() if path.startswith("/admin/") else bearer("admin")
    if path.startswith("/admin/"):
        sign_in(client)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(path).status_code == 200
        return len(captured)

    fill(1)
    queries()
    few = queries()
    StatusChange.objects.all()._raw_delete("default")
    fill_more()
    assert queries() == few


def fill_more() -> None:
    service = Service.objects.get(slug="shop")
    for n in range(60):
        make_alert(
            starts_at=NOW - timedelta(minutes=n), service=make_service() if n % 9 == 0 else service
        )
        Deploy.objects.create(service=service, version=f"w{n}", at=NOW)
        make_flag(services=["shop", f"other-{n}"])


@pytest.mark.parametrize(
    "query",
    [
        "cursor=x",
        "cursor=%00",
        "kind=weather",
        "since=yesterday",
        "page_size=0",
        "page_size=501",
        "service=nobody",
    ],
)
def test_wrong_parameters_are_a_problem(query: str) -> None:
    answer = bearer("read").get(f"/api/v1/timeline/?{query}")
    assert answer.status_code in (400, 404)
    assert answer["Content-Type"] == "application/problem+json"


def test_a_cursor_reads_what_it_wrote_and_refuses_the_rest() -> None:
    cursor = Cursor(NOW, "deploy", 7)
    assert Cursor.read(cursor.written()) == cursor
    for wrong in ("", "AAAA", cursor.written()[:-4], "w7w=", "ZZ|ZZ|Z", "é"):
        with pytest.raises(ValueError, match="does not belong to this timeline"):
            Cursor.read(wrong)


def test_csv_holds_every_event_and_is_audited() -> None:
    fill()
    client = bearer("read")
    body = b"".join(client.get("/api/v1/timeline/?format=csv&kind=deploy").streaming_content)  # type: ignore[attr-defined]
    assert body.count(b"\r\n") == 4
    assert AuditEntry.objects.filter(action="data.exported", target_type="api.timeline").exists()


def test_the_page_shows_days_links_and_the_way_back(client: Client) -> None:
    sign_in(client)
    fill(40)
    page = client.get("/admin/timeline/?kind=alert&kind=deploy").content.decode()
    older = page.partition('is-quiet" href="')[2].partition('"')[0].replace("&amp;", "&")
    assert "Older" in page
    assert dict(parse_qsl(older[1:]))["cursor"]
    assert "Sunday, 1 March 2026" in client.get(f"/admin/timeline/{older}").content.decode()


@pytest.mark.parametrize(
    "query",
    ["?cursor=x", "?since=99&until=%01", "?kind=x&service=%01", "?until=0001-01-01T00:00%2B23:00"],
)
def test_the_page_survives_any_query(client: Client, query: str) -> None:
    sign_in(client)
    assert client.get(f"/admin/timeline/{query}").status_code == 200


@pytest.mark.parametrize(
    "query, sentence",
    [
        ("since=yesterday", "“From” could not be read"),
        ("until=2026-13-45", "“Until” could not be read"),
        ("since=2026-03-02&until=2026-03-01", "“From” is not before “Until”"),
        ("kind=weather", "Some of the kinds are unknown. Available kinds: alert"),
        ("cursor=x", "so the newest page is shown"),
    ],
)
def test_what_the_page_cannot_use_is_told(client: Client, query: str, sentence: str) -> None:
    sign_in(client)
    assert sentence in client.get(f"/admin/timeline/?{query}").text


def test_a_service_that_is_not_there_is_said(client: Client) -> None:
    sign_in(client)
    page = client.get("/admin/timeline/?service=nobody").content.decode()
    assert "There is no service “nobody”. The timeline of all services is shown." in page


def test_an_account_sees_only_what_it_may(client: Client) -> None:
    sign_in(client, make_user(is_superuser=False))
    page = client.get("/admin/timeline/").content.decode()
    assert f"may not see them: {', '.join(KINDS[kind].lower() for kind in KINDS)}" in page


def test_by_api_a_person_sees_what_the_admin_shows_and_a_token_no_flags_of_others() -> None:
    fill(1)
    viewer = make_user(is_superuser=False)
    for role, hidden in (("", list(KINDS)), ("viewer", ["flag", "audit"])):
        viewer.groups.set(Group.objects.filter(name=role))
        client = Client()
        sign_in(client, viewer)
        body = client.get("/api/v1/timeline/").json()
        assert body["hidden"] == hidden
        assert not {event["stream"] for event in body["results"]} & {"flag.opened", "audit"}
    token = tokens.create(user=viewer, name="t", scopes=["read"])[1]
    bearing = Client(headers={"Authorization": f"Bearer {token}"})
    for path in ("/api/v1/timeline/", "/api/v1/services/shop/timeline/?kind=flag,audit"):
        body = bearing.get(path).json()
        assert body["hidden"] == ["flag", "audit"]
        assert "flag.opened" not in {event["stream"] for event in body["results"]}


def test_an_alert_leads_to_what_changed_before(client: Client) -> None:
    sign_in(client)
    alert = make_alert(starts_at=NOW, service=make_service(slug="shop"))
    page = client.get(alert.get_absolute_url()).content.decode()
    assert "/admin/timeline/?service=shop&amp;until=2026-03-01T12%3A00%3A00" in page
    assert timezone.now() > NOW
