"""What all lists of the API share: their CSV, in chunks of a statement each, and changes at the same moment."""

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.viewsets import GenericViewSet

from audit import viewsets
from portal.core.models import Service
from tests.conftest import Trail
from tests.factories import make_channel, make_panel, make_route, make_service, make_user, sign_in

pytestmark = pytest.mark.django_db
URL = "/api/v1/services/?format=csv"


@pytest.fixture
def reader(client: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    sign_in(client, make_user())
    monkeypatch.setattr(viewsets, "CSV_CHUNK", 2)
    return client


def slugs(answer: Any) -> list[str]:
    return [row["slug"] for row in csv.DictReader(io.StringIO(b"".join(answer).decode()))]


def test_every_row_comes_once_in_the_order_of_ids_and_no_cursor_is_opened(reader: Client) -> None:
    made = [make_service().slug for _ in range(5)]
    with CaptureQueriesContext(connection) as asked:
        assert slugs(reader.get(URL)) == made
    assert not [query for query in asked if "DECLARE" in query["sql"]]


def test_a_list_of_nothing_is_its_header(reader: Client) -> None:
    assert slugs(reader.get(f"{URL}&team=nobody")) == []


def test_a_row_that_goes_meanwhile_takes_no_other_along(
    reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.core.csv.FLUSH_ROWS", 3)  # the header and one chunk
    first, second, third, fourth = (make_service().slug for _ in range(4))
    blocks: Any = reader.get(URL).streaming_content  # type: ignore[attr-defined]
    begun = next(blocks)
    Service.objects.filter(slug__in=[first, third]).delete()
    assert slugs([begun, *blocks]) == [first, second, fourth]


@pytest.mark.parametrize(("path", "said"), [("checks", {"service": "shop"}), ("panels", {})])
def test_an_export_concerns_a_service_only_where_the_list_is_filtered_by_it(
    reader: Client, path: str, said: dict[str, str], trail: Trail
) -> None:
    """Elsewhere the word is ignored, and all rows are carried out."""
    b"".join(reader.get(f"/api/v1/{path}/?format=csv&service=shop"))
    (entry,) = trail()
    assert {name: entry.data[name] for name in entry.data if name == "service"} == said


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Let something happen after a request has read its row and before it writes."""

    def arrange(act: Callable[[], Any]) -> None:
        get_object = GenericViewSet.get_object

        def late(view: Any) -> Any:
            row = get_object(view)
            act()
            return row

        monkeypatch.setattr(GenericViewSet, "get_object", late)

    return arrange


@pytest.mark.parametrize(
    ("path", "make", "mine", "other"),
    [
        ("services", make_service, {"description": "Sells"}, {"team": "pay"}),
        ("routes", make_route, {"position": 7}, {"enabled": False}),
        ("channels", make_channel, {"budget_messages": 7}, {"send_resolved": False}),
        ("panels", make_panel, {"unit": "bytes"}, {"title": "Memory"}),
    ],
)
def test_two_who_change_different_fields_at_once_both_count(
    client: Client,
    meanwhile: Any,
    path: str,
    make: Any,
    mine: dict[str, Any],
    other: dict[str, Any],
) -> None:
    sign_in(client, make_user())
    row = make()
    meanwhile(lambda: type(row).objects.filter(pk=row.pk).update(**other))
    place = getattr(row, "slug", row.pk) if path == "services" else row.pk
    answer = client.patch(f"/api/v1/{path}/{place}/", mine, content_type="application/json")
    assert answer.status_code == 200, answer.content
    row.refresh_from_db()
    assert {name: getattr(row, name) for name in {**mine, **other}} == {**mine, **other}


@pytest.mark.parametrize("method", ["patch", "delete"])
def test_what_another_has_deleted_meanwhile_is_not_there(
    client: Client, meanwhile: Any, method: str, trail: Trail
) -> None:
    sign_in(client, make_user())
    row = make_service()
    meanwhile(Service.objects.filter(pk=row.pk).delete)
    change = getattr(client, method)
    answer = change(f"/api/v1/services/{row.slug}/", {"team": "x"}, content_type="application/json")
    assert answer.status_code == 404
    assert not Service.objects.exists()
