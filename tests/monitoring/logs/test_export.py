"""Found lines as CSV: from the API and from the page, safe in a spreadsheet, bounded, audited."""

import csv
import io
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from monitoring.logs import export
from portal.core import csv as csv_of_ours
from portal.core.http import UpstreamError
from portal.core.models import Upstream
from tests.conftest import Trail
from tests.elastic import FakeElasticsearch, wire_line
from tests.factories import make_user, sign_in

pytestmark = pytest.mark.django_db
DOORS = ["/api/v1/logs/search/", "/admin/logs/"]


@pytest.fixture
def api(client: Client, upstream: Upstream) -> Client:
    sign_in(client)
    return client


def rows(api: Client, door: str, **parameters: str) -> list[dict[str, str]]:
    answer = api.get(door, {"format": "csv", **parameters})
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"].startswith("text/csv")
    assert 'filename="logs.csv"' in answer["Content-Disposition"]
    content = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    return list(csv.DictReader(io.StringIO(content, newline="")))


@pytest.mark.parametrize("door", DOORS)
def test_the_filtered_lines_are_cells_without_formulas(
    api: Client, elastic: FakeElasticsearch, door: str, trail: Trail
) -> None:
    evil = '=HYPERLINK("http://x")'
    elastic.documents += [wire_line(timezone.now() - timedelta(seconds=9), f"{evil} payment")]
    found = rows(api, door, q="payment")
    assert [row["message"] for row in found] == [f"'{evil} payment", "payment refused", "payment taken"]  # fmt: skip
    assert tuple(found[0]) == export.COLUMNS
    assert (found[1]["level"], found[1]["service"]) == ("error", "shop")
    assert found[0]["at"].endswith("Z")
    (entry,) = (e for e in trail() if e.action == "data.exported")
    assert (entry.target_type, entry.data["filters"]["q"]) == ("logs", "payment")


@pytest.mark.parametrize("door", DOORS)
def test_an_export_of_the_lines_of_a_service_concerns_it(
    api: Client, elastic: FakeElasticsearch, door: str, trail: Trail
) -> None:
    rows(api, door, service="shop")
    (entry,) = (e for e in trail() if e.action == "data.exported")
    assert entry.data["service"] == "shop"


def test_all_pages_up_to_the_bound(
    api: Client, elastic: FakeElasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "LARGEST_PAGE", 7)
    now = timezone.now()
    elastic.documents = [
        wire_line(now - timedelta(seconds=9 + n // 3), f"line {n}") for n in range(40)
    ]
    assert len({row["message"] for row in rows(api, DOORS[0])}) == 40
    monkeypatch.setattr(export, "MOST_LINES", 25)
    assert len(rows(api, DOORS[0])) == 25


def test_the_lines_around_one(api: Client) -> None:
    found = rows(api, DOORS[0], context="id-0")
    assert [row["message"] for row in found] == ["payment taken", "payment refused"]


@pytest.mark.parametrize(("q", "code"), [("level:(", 400), ("", 424)])
def test_what_the_server_refuses_is_no_file(
    api: Client, elastic: FakeElasticsearch, q: str, code: int, trail: Trail
) -> None:
    if not q:
        elastic.refuse = (503, {})
    answer = api.get(DOORS[0], {"format": "csv", "q": q})
    assert answer.status_code == code
    assert answer["Content-Type"] == "application/problem+json"
    assert b"dash-notice" in api.get(DOORS[1], {"format": "csv", "q": q}).content
    assert [entry.action for entry in trail() if entry.action == "data.exported"] == []


def test_a_file_whose_second_page_fails_breaks_off(
    api: Client, elastic: FakeElasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "LARGEST_PAGE", 1)
    monkeypatch.setattr(csv_of_ours, "FLUSH_ROWS", 2)
    answer = api.get(DOORS[0], {"format": "csv"})
    assert answer.status_code == 200
    elastic.refuse = (503, {})
    with pytest.raises(UpstreamError):
        b"".join(answer.streaming_content)  # type: ignore[attr-defined]


def test_the_page_leads_to_the_file_of_what_it_shows(api: Client) -> None:
    page = api.get(DOORS[1], {"q": "payment", "range": "15m"}).content.decode()
    assert "Download as CSV" in page
    link = page.partition("Download as CSV")[0].rpartition('<a href="')[2].partition('"')[0]
    assert "since=" in link
    assert "range=" not in link
    answer = api.get(DOORS[1] + link.replace("&amp;", "&"))
    assert b"".join(answer.streaming_content).count(b"payment") >= 2  # type: ignore[attr-defined]
    assert answer["Content-Type"].startswith("text/csv")


def test_nobody_without_the_permission_gets_a_file(client: Client, upstream: Upstream) -> None:
    sign_in(client, make_user(is_superuser=False))
    for door in DOORS:
        assert client.get(door, {"format": "csv"}).status_code == 403
