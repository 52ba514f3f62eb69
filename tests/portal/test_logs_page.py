"""The page of logs: found, empty, partial, refused, down, not configured, and around something."""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qsl

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from audit import services as audit
from audit.models import AuditEntry
from tests.elastic import FakeElasticsearch, fake_elasticsearch, reply, wire_line
from tests.factories import (
    make_alert,
    make_elasticsearch,
    make_error,
    make_service,
    make_user,
    sign_in,
)

pytestmark = pytest.mark.django_db
URL = "/admin/logs/"


@pytest.fixture
def elastic() -> Iterator[FakeElasticsearch]:
    now = timezone.now()
    with fake_elasticsearch() as fake:
        fake.documents = [
            wire_line(
                now - timedelta(minutes=3), "payment <b>taken</b>", **{"trace.id": "ab" * 16}
            ),
            wire_line(now - timedelta(minutes=2), "payment refused", **{"log.level": "error"}),
        ]
        make_elasticsearch(fake.url)
        yield fake


@pytest.fixture
def staff(client: Client) -> Client:
    sign_in(client)
    return client


def html(client: Client, **parameters: str) -> str:
    answer = client.get(URL, parameters)
    assert answer.status_code == 200
    return answer.content.decode()


def test_lines_are_shown_escaped_with_their_level_and_links(
    staff: Client, elastic: FakeElasticsearch, settings: object
) -> None:
    settings.TRACES_URL = "https://jaeger.example"  # type: ignore[attr-defined]
    settings.KIBANA_URL = "https://kibana.example"  # type: ignore[attr-defined]
    page = html(staff)
    assert "payment &lt;b&gt;taken&lt;/b&gt;" in page
    assert "<b>taken" not in page
    assert "logs-line is-error" in page
    assert f"https://jaeger.example/trace/{'ab' * 16}" in page
    assert "https://kibana.example/app/discover" in page
    assert "2 lines" in page


def test_a_bar_leads_to_its_own_time(staff: Client, elastic: FakeElasticsearch) -> None:
    page = html(staff, q="payment", range="15m")
    assert page.count('class="is-bad"') > 10
    assert "?q=payment&amp;since=2" in page


def test_what_is_not_found_says_what_to_change(staff: Client, elastic: FakeElasticsearch) -> None:
    page = html(staff, q="nothing-like-it")
    assert "No matching lines" in page
    assert "Remove a filter" in page


def test_a_malformed_query_is_explained(staff: Client, elastic: FakeElasticsearch) -> None:
    page = html(staff, q="level:(")
    assert "Failed to parse query [level:(]" in page
    assert 'value="level:("' in page


def test_a_parameter_that_makes_no_sense_is_explained(
    staff: Client, elastic: FakeElasticsearch
) -> None:
    assert "Available levels" in html(staff, level="loud")


def test_a_server_that_is_down_is_no_empty_list(staff: Client) -> None:
    make_elasticsearch()
    page = html(staff)
    assert "The logs cannot be seen." in page
    assert "No matching lines" not in page


def test_a_part_is_shown_as_a_part(staff: Client, elastic: FakeElasticsearch) -> None:
    elastic.patch = {"timed_out": True}
    page = html(staff)
    assert "Results are incomplete." in page
    assert "payment refused" in page


def test_nothing_configured_says_what_to_set(staff: Client) -> None:
    page = html(staff)
    assert "ELASTICSEARCH_URL" in page
    assert "/admin/core/upstream/add/" in page


def test_around_a_moment_and_around_a_line(staff: Client, elastic: FakeElasticsearch) -> None:
    moment = (timezone.now() - timedelta(minutes=2)).isoformat()
    page = html(staff, around=moment, service="shop", minutes="1")
    assert "payment refused" in page
    assert "± 30 min" in page
    page = html(staff, context="id-1")
    assert "is-anchor" in page
    assert page.index("taken") < page.index("payment refused")
    assert "There is no line with this id" in html(staff, context="id-99")


def test_older_lines_have_a_link(staff: Client, elastic: FakeElasticsearch) -> None:
    now = timezone.now()
    elastic.documents = [wire_line(now - timedelta(seconds=n + 1), f"line {n}") for n in range(150)]
    page = html(staff)
    assert "Older lines" in page
    link = page.split('class="dash-button" href="')[1].split('"')[0].replace("&amp;", "&")
    older = staff.get(URL + link).content.decode()
    assert "line 149" in older
    assert "line 99<" not in older


def test_who_may_not_look_is_refused(client: Client, elastic: FakeElasticsearch) -> None:
    user = make_user(is_superuser=False)
    sign_in(client, user)
    assert client.get(URL).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_panel"))
    assert client.get(URL).status_code == 200


def test_the_index_that_is_missing_is_named(staff: Client, elastic: FakeElasticsearch) -> None:
    elastic.refuse = (404, reply("index-missing"))
    assert "Correct ELASTICSEARCH_INDEX" in html(staff)


def link_to_logs(page: str) -> dict[str, str]:
    """Return the parameters of the first link to the logs of a page."""
    found = page.split('href="/admin/logs/?')[1].split('"')[0].replace("&amp;", "&")
    return dict(parse_qsl(found))


def test_an_alert_and_an_error_lead_to_the_logs_of_their_moment(staff: Client) -> None:
    service = make_service(slug="shop")
    alert = make_alert(service=service)
    issue = make_error(service=service)
    assert "/admin/logs/?" not in staff.get(alert.get_absolute_url()).content.decode()
    make_elasticsearch()
    for thing, at in ((alert, alert.starts_at), (issue, issue.last_seen_at)):
        link = link_to_logs(staff.get(thing.get_absolute_url()).content.decode())
        assert link == {"around": f"{at:%Y-%m-%dT%H:%M:%SZ}", "service": "shop"}


def test_an_audit_entry_leads_to_the_lines_of_its_request(staff: Client) -> None:
    make_elasticsearch()
    audit.record("config.changed", target=make_service())
    entry = AuditEntry.objects.latest("id")
    page = staff.get(entry.get_absolute_url()).content.decode()
    assert link_to_logs(page)["around"] == f"{entry.occurred_at:%Y-%m-%dT%H:%M:%SZ}"


def test_a_range_that_is_chosen_replaces_the_moment_that_was_kept(
    staff: Client, elastic: FakeElasticsearch
) -> None:
    page = html(staff, around="2026-01-01T00:00:00Z", q="payment")
    assert 'name="around" value="2026-01-01T00:00:00Z"' in page
    page = html(staff, around="2026-01-01T00:00:00Z", q="payment", range="15m")
    assert 'name="around"' not in page
    assert "2 lines" in page


def test_an_entry_of_a_request_leads_to_its_own_lines(staff: Client) -> None:
    make_elasticsearch()
    body = {"slug": "new-one", "name": "New"}
    assert staff.post("/api/v1/services/", body, "application/json").status_code == 201
    entry = AuditEntry.objects.exclude(request_id="").latest("id")
    link = link_to_logs(staff.get(entry.get_absolute_url()).content.decode())
    assert link["q"] == f'http.request.id:"{entry.request_id}"'
