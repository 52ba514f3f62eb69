"""Saved searches: kept from the page or by API, shared or one's own, never another's to change."""

from typing import Any

import pytest
from django.test import Client

from monitoring.logs.models import SavedSearch
from tests.conftest import Trail
from tests.factories import make_elasticsearch, make_user, sign_in

pytestmark = pytest.mark.django_db
URL = "/api/v1/logs/searches/"
BODY: dict[str, Any] = {"name": "Errors of shop", "query": {"q": "timeout", "level": "error"}}


@pytest.fixture
def staff(client: Client) -> Client:
    sign_in(client)
    return client


def post(client: Client, **over: Any) -> Any:
    return client.post(URL, {**BODY, **over}, "application/json")


def test_a_search_is_kept_used_and_deleted(staff: Client, trail: Trail) -> None:
    made = post(staff)
    assert made.status_code == 201
    page = staff.get("/admin/logs/").content.decode()
    assert "Errors of shop" in page
    assert "?q=timeout&amp;level=error" in page
    one = f"{URL}{made.json()['id']}/"
    assert staff.put(one, {**BODY, "name": "Other"}, "application/json").json()["name"] == "Other"
    assert staff.delete(one).status_code == 204
    kept = [entry.action for entry in trail() if entry.action.startswith("search.")]
    assert kept == ["search.created", "search.changed", "search.deleted"]


@pytest.mark.parametrize(
    "query", [{}, {"level": "loud"}, {"range": "forever"}, {"color": "red"}, {"around": "2026-01-01T00:00:00Z"}]
)  # fmt: skip
def test_what_is_no_search_is_refused(staff: Client, query: dict[str, str]) -> None:
    assert post(staff, query=query).status_code == 400


def test_a_name_is_used_once_per_account(staff: Client) -> None:
    assert post(staff).status_code == 201
    assert post(staff).status_code == 400


def test_anothers_search_is_seen_when_shared_and_never_changed(staff: Client) -> None:
    other = make_user()
    hidden = SavedSearch.objects.create(name="hidden", owner=other, query={"q": "a"})
    shared = SavedSearch.objects.create(name="shared", owner=other, query={"q": "b"}, shared=True)
    assert [row["name"] for row in staff.get(URL).json()["results"]] == ["shared"]
    assert staff.get(f"{URL}{hidden.pk}/").status_code == 404
    assert staff.put(f"{URL}{shared.pk}/", BODY, "application/json").status_code == 403


def test_the_page_offers_to_keep_what_it_shows(staff: Client) -> None:
    make_elasticsearch()
    page = staff.get("/admin/logs/", {"q": "x", "level": "error"}).content.decode()
    assert "/admin/monitoring/savedsearch/add/?query=q%3Dx%26level%3Derror" in page
    form = {"name": "x", "query": "q=x&level=error&since=2026-01-01T00:00:00Z", "shared": "on"}
    staff.post("/admin/monitoring/savedsearch/add/", form)
    assert SavedSearch.objects.get().query == {"q": "x", "level": "error"}
    listed = staff.get("/admin/monitoring/savedsearch/").content.decode()
    assert "level=error" in listed
