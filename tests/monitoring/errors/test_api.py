"""`errors/` through its door: filters, CSV, verbs, and what a token may do."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from monitoring.models import ErrorIssue
from monitoring.tasks import poll_upstream
from security import tokens
from tests.factories import make_error, make_sentry, make_service, make_user, sign_in
from tests.sentry import FakeSentry, fake_sentry, wire_issue

pytestmark = pytest.mark.django_db(transaction=True)


def client_with(*scopes: str) -> Client:
    token = tokens.create(user=make_user(), name="test", scopes=list(scopes))[1]
    return Client(headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def client() -> Client:
    return client_with("read", "monitoring:write")


@pytest.fixture
def sentry() -> Iterator[FakeSentry]:
    with fake_sentry() as fake:
        fake.add(wire_issue(1))
        yield fake


def post(client: Client, issue: ErrorIssue, verb: str, **body: Any) -> Any:
    return client.post(f"/api/v1/errors/{issue.pk}/{verb}/", body, content_type="application/json")


def titles(client: Client, query: str) -> list[str]:
    reply = client.get(f"/api/v1/errors/?{query}")
    assert reply.status_code == 200, reply.content
    return [row["title"] for row in reply.json()["results"]]


@pytest.mark.parametrize(
    "query, found",
    [
        ("", ["c", "b", "a"]),
        ("status=resolved", ["b"]),
        ("status=resolved&status=ignored", ["c", "b"]),
        ("project=mail", ["c"]),
        ("service=shop", ["a"]),
        ("level=warning", ["b"]),
        ("q=SHOP-B", ["b"]),
        ("gone=true", ["b"]),
        ("issue_id=abc77", ["c"]),
    ],
)
def test_filters(client: Client, query: str, found: list[str]) -> None:
    sentry, now = make_sentry(), timezone.now()
    seen = {name: now - timedelta(minutes=n) for n, name in enumerate("cba")}
    make_error(sentry, title="a", service=make_service(slug="shop"), last_seen_at=seen["a"])
    make_error(
        sentry, title="b", status="resolved", level="warning", short_id="SHOP-B", gone_at=now, last_seen_at=seen["b"]
    )  # fmt: skip
    make_error(
        sentry,
        title="c",
        status="ignored",
        project="mail",
        issue_id="abc77",
        last_seen_at=seen["c"],
    )
    assert titles(client, query) == found


def test_since_and_until_bound_the_time(client: Client) -> None:
    make_error(title="old", last_seen_at=timezone.now() - timedelta(days=2))
    make_error(title="new", first_seen_at=timezone.now())
    hour_ago = (timezone.now() - timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    assert titles(client, f"since={hour_ago}") == ["new"]
    assert titles(client, f"until={hour_ago}") == ["old"]


def test_a_longer_list_costs_no_more_queries(client: Client) -> None:
    sentry = make_sentry()
    make_error(sentry)
    client.get("/api/v1/errors/")
    with CaptureQueriesContext(connection) as few:
        client.get("/api/v1/errors/")
    for _ in range(5):
        make_error(sentry, service=make_service())
    with CaptureQueriesContext(connection) as more:
        client.get("/api/v1/errors/")
    assert len(more) == len(few)


def test_csv_is_the_same_list_with_safe_cells(client: Client) -> None:
    make_error(title="=cmd()", project="shop")
    make_error(title="other", project="mail")
    reply = client.get("/api/v1/errors/?format=csv&project=shop")
    lines = b"".join(reply.streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 2
    assert '"\'=cmd()"' in lines[1]


def test_the_verbs_change_sentry_and_answer_with_the_history(
    client: Client, sentry: FakeSentry
) -> None:
    poll_upstream(make_sentry(sentry.url).pk)
    issue = ErrorIssue.objects.get()
    reply = post(client, issue, "resolve", text="Fixed")
    assert (reply.status_code, reply.json()["status"]) == (200, "resolved")
    assert [step["kind"] for step in reply.json()["transitions"]] == ["resolved", "new"]
    assert post(client, issue, "resolve").status_code == 409
    assert post(client, issue, "reopen").json()["status"] == "unresolved"
    assert post(client, issue, "ignore").json()["status"] == "ignored"
    assert (
        post(client, issue, "assign", to="ann@example.org").json()["assigned_to"]
        == "ann@example.org"
    )
    assert post(client, issue, "assign", to=None).json()["assigned_to"] == ""
    assert post(client, issue, "assign").status_code == 400
    assert sentry.issues["1"]["status"] == "ignored"


def test_what_sentry_refuses_is_a_424_with_its_sentence(client: Client, sentry: FakeSentry) -> None:
    issue = make_error(make_sentry(sentry.url), issue_id="1")
    sentry.refuse = 403
    reply = post(client, issue, "resolve")
    assert reply.status_code == 424
    assert "event:write" in reply.json()["detail"]


def test_reading_is_not_writing() -> None:
    assert post(client_with("read"), make_error(), "resolve").status_code == 403
    assert client_with("metrics").get("/api/v1/errors/").status_code == 403


@pytest.mark.parametrize(
    ("permissions", "status"), [(["change_errorissue"], 200), (["view_errorissue"], 403)]
)
def test_a_person_needs_what_the_admin_asks_for(
    sentry: FakeSentry, permissions: list[str], status: int
) -> None:
    poll_upstream(make_sentry(sentry.url).pk)
    user = make_user(is_superuser=False)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    person = Client()
    sign_in(person, user)
    assert post(person, ErrorIssue.objects.get(), "resolve").status_code == status
