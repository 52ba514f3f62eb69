"""Upstreams, services and charts in the admin: credentials stay hidden, wrong PromQL is refused."""

from typing import Any

import pytest
from django.test import Client

from monitoring.models import Panel
from portal.core.models import Service, Upstream
from tests.conftest import Trail
from tests.factories import (
    make_panel,
    make_service,
    make_status,
    make_target,
    make_upstream,
    sign_in,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    sign_in(client)
    return client


def form(**over: Any) -> dict[str, Any]:
    fields = {"name": "am", "kind": "alertmanager", "url": "http://am:9093", "enabled": "on"}
    return {**fields, "interval_seconds": "15", "options": "{}", **over}


def post(client: Client, upstream: Upstream, **over: Any) -> str:
    """Send the change form; return "" when it was saved, else the page with its errors."""
    answer = client.post(
        upstream.get_absolute_url(), form(name=upstream.name, url=upstream.url, **over)
    )
    return "" if answer.status_code == 302 else answer.content.decode()


def test_credentials_are_stored_and_neither_shown_again_nor_audited(
    staff: Client, trail: Trail
) -> None:
    answer = staff.post("/admin/core/upstream/add/", form(username="ann", password="hunter2secret"))
    assert answer.status_code == 302
    upstream = Upstream.objects.get(name="am")
    assert upstream.credentials == {"username": "ann", "password": "hunter2secret"}
    html = staff.get(upstream.get_absolute_url()).content.decode()
    assert "hunter2secret" not in html
    assert "set; enter a new one" in html
    assert post(staff, upstream, token="tokentoken123") == ""
    upstream.refresh_from_db()
    assert upstream.credentials == {"token": "tokentoken123"}
    told = [entry for entry in trail() if entry.target_type == "core.upstream"]
    assert [entry.action for entry in told] == ["object.created", "object.updated"]
    assert "credentials" in told[1].changes
    for entry in told:
        assert "secret" not in str(entry.changes)
        assert "token123" not in str(entry.changes)


def test_an_empty_field_keeps_the_credentials_and_forgetting_drops_them(staff: Client) -> None:
    upstream = make_upstream(credentials={"token": "abc"})
    assert post(staff, upstream, interval_seconds="30") == ""
    upstream.refresh_from_db()
    assert (upstream.interval_seconds, upstream.credentials) == (30, {"token": "abc"})
    assert post(staff, upstream, forget_credentials="on") == ""
    upstream.refresh_from_db()
    assert not upstream.credentials


def test_credentials_are_not_sent_to_another_server_unseen(staff: Client) -> None:
    upstream = make_upstream(credentials={"token": "abc"}, url="http://am:9093")
    upstream.url = "http://elsewhere:9093"
    assert "Enter the credentials again" in post(staff, upstream)
    assert post(staff, upstream, token="abc") == ""
    upstream.url = "http://elsewhere:9093/prefix"
    assert post(staff, upstream) == ""


def test_a_token_and_a_password_together_are_refused(staff: Client) -> None:
    assert "not both" in post(staff, make_upstream(), token="a", username="b", password="c")


def test_what_the_environment_sets_cannot_be_changed_here(staff: Client) -> None:
    upstream = make_upstream(managed=True)
    before = upstream.url
    upstream.url = "http://elsewhere:1"
    assert post(staff, upstream) == ""
    upstream.refresh_from_db()
    assert upstream.url == before
    assert staff.get(f"/admin/core/upstream/{upstream.pk}/delete/").status_code == 403


def test_the_list_says_how_fresh_each_upstream_is(staff: Client) -> None:
    make_upstream(error="Nothing is listening at am:9093.")
    make_upstream(enabled=False)
    html = staff.get("/admin/core/upstream/").content.decode()
    for words in ("Unreachable", "Nothing is listening at am:9093.", "Disabled"):
        assert words in html


def test_the_connection_test_answers_with_a_sentence(staff: Client) -> None:
    upstream = make_upstream(url="http://127.0.0.1:1")
    html = staff.post(f"/admin/core/upstream/{upstream.pk}/test/", follow=True).content.decode()
    assert "Nothing is listening at 127.0.0.1:1" in html


def test_a_service_shows_status_targets_and_history(staff: Client) -> None:
    service = make_service(name="Checkout", matchers=['job="a,b"', 'env=~"x|y"'])
    make_status(service, "down", reason="2 targets are down.")
    make_target(make_upstream(kind="prometheus"), service=service, instance="web-1:8080")
    html = staff.get(service.get_absolute_url()).content.decode()
    for words in ("2 targets are down.", "web-1:8080", "No alert has matched", "a,b"):
        assert words in html
    data = {
        "name": "Checkout",
        "slug": service.slug,
        "matchers": 'job="a,b"\r\nenv=~"x|z"',
        "labels": "{}",
        "scrape_targets-TOTAL_FORMS": "0",
        "scrape_targets-INITIAL_FORMS": "0",
    }
    assert staff.post(service.get_absolute_url(), data).status_code == 302
    assert Service.objects.get().matchers == ['job="a,b"', 'env=~"x|z"']
    wrong = staff.post(service.get_absolute_url(), {**data, "matchers": "not a matcher"})
    assert "is not a matcher" in wrong.content.decode()


@pytest.mark.parametrize(
    "path", ["core/service", "core/upstream", "monitoring/panel", "monitoring/target"]
)
def test_a_list_costs_the_same_for_few_and_many_rows(
    staff: Client, path: str, django_assert_max_num_queries: Any
) -> None:
    prometheus = make_upstream(kind="prometheus")
    for _ in range(15):
        make_status(make_service(), "down", upstream=prometheus)
        make_target(prometheus)
        make_panel(upstream=prometheus)
        make_upstream()
    with django_assert_max_num_queries(13):
        assert staff.get(f"/admin/{path}/").status_code == 200


def test_a_chart_whose_matchers_cannot_be_read_is_refused(staff: Client) -> None:
    panel = Panel.objects.get(slug="cpu")
    data = {"title": "CPU", "slug": "cpu", "promql": "up", "unit": "percent", "position": "1"}
    answer = staff.post(panel.get_absolute_url(), {**data, "alert_matchers": "("})
    assert "is not a matcher" in answer.content.decode()
    good = staff.post(panel.get_absolute_url(), {**data, "alert_matchers": 'a="b"'})
    assert good.status_code == 302
    panel.refresh_from_db()
    assert panel.alert_matchers == ['a="b"']
