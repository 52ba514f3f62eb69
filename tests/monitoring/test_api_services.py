"""The services of the API: what each says of its errors, at the same price for one and for fifty."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from monitoring.errors.reconcile import hour_of
from monitoring.models import ErrorTally
from security import tokens
from tests.factories import make_error, make_sentry, make_service, make_status, make_user

pytestmark = pytest.mark.django_db
URL = "/api/v1/services/"


@pytest.fixture
def client() -> Client:
    token = tokens.create(user=make_user(), name="ci", scopes=["read"])[1]
    return Client(headers={"Authorization": f"Bearer {token}"})


def read(client: Client, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_a_service_sums_up_its_own_errors(client: Client) -> None:
    now, sentry, shop = timezone.now(), make_sentry(), make_service(slug="shop")
    fresh = now - timedelta(hours=1)
    make_error(sentry, service=shop, first_seen_at=fresh, user_count=4, last_seen_at=fresh)
    latest = make_error(sentry, service=shop, regressed_at=fresh, user_count=5)
    make_error(sentry, service=shop, status="resolved", last_seen_at=now)
    make_error(sentry, service=make_service(slug="search"))
    hour = hour_of(now)
    ErrorTally.objects.create(upstream=sentry, project="p", service=shop, hour=hour, events=6)
    found = read(client, f"{URL}shop/")["errors"]
    counts = {name: found[name] for name in ("unresolved", "new", "regressed", "users", "events")}
    assert counts == {"unresolved": 2, "new": 1, "regressed": 1, "users": 9, "events": 6}
    assert found["last_seen_at"] == latest.last_seen_at.isoformat().replace("+00:00", "Z")
    assert [bar["events"] for bar in found["trend"]] == [*[0] * 23, 6]
    assert found["blind"] == ""
    assert [row["errors"]["unresolved"] for row in read(client, URL)["results"]] == [2, 1]


def test_no_errors_and_no_sight_of_errors_are_told_apart(client: Client) -> None:
    make_service(slug="shop")
    found = read(client, f"{URL}shop/")["errors"]
    assert (found["unresolved"], found["last_seen_at"]) == (0, None)
    assert "No Sentry is connected" in found["blind"]
    make_sentry(error="Nothing is listening there.")
    assert "Nothing is listening there." in read(client, f"{URL}shop/")["errors"]["blind"]


@pytest.mark.parametrize("form", ["", "?format=csv"], ids=["page", "csv"])
def test_a_list_of_services_asks_as_often_for_one_as_for_many(client: Client, form: str) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            answer = client.get(URL + form)
            b"".join(answer) if form else answer.content
        return len(asked)

    sentry = make_sentry()
    make_status(make_service())
    queries()  # the first request of a token notes its client
    once = queries()
    for _ in range(12):
        service = make_service()
        make_status(service)
        make_error(sentry, service=service)
    assert queries() == once


def test_the_csv_of_services_has_their_errors(client: Client) -> None:
    make_error(make_sentry(), service=make_service(slug="shop"))
    answer: Any = client.get(f"{URL}?format=csv")
    (row,) = csv.DictReader(io.StringIO(b"".join(answer).decode()))
    assert row["slug"] == "shop"
    assert '"unresolved": 1' in row["errors"]
