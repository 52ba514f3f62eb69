"""The CSV of a list: all rows, in chunks of a statement each, whatever is written meanwhile."""

import csv
import io
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit import viewsets
from portal.core.models import Service
from tests.conftest import Trail
from tests.factories import make_service, make_user, sign_in

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
