"""What the API answers to input that no client should send: a 4xx problem, never a 500."""

import base64
import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.db import OperationalError
from django.test import Client

from monitoring.models import Panel
from security import tokens
from tests.factories import make_service, make_upstream, make_user

pytestmark = pytest.mark.django_db
PANEL = {"slug": "p", "title": "p", "promql": "up", "unit": "number"}


@pytest.fixture
def api() -> Client:
    """Return a client with a token of scope `admin`; it answers exceptions as a server does."""
    written = tokens.create(user=make_user(), name="t", scopes=["admin"])[1]
    headers = {"Authorization": f"Bearer {written}"}
    return Client(raise_request_exception=False, headers=headers)


def problem(answer: Any, status: int) -> dict[str, Any]:
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["detail"]
    return document


def cursor(**facts: str) -> str:
    return quote(base64.b64encode(urlencode(facts).encode()).decode())


@pytest.mark.parametrize(
    "value", ['"\\ud800"', '"\\u0000"', '"a\\u0000b"', "1e400", "-1e400", "NaN"]
)
@pytest.mark.parametrize("field", ["upstream", "unit", "title", "position", "alert_matchers"])
def test_a_value_that_no_row_can_hold_is_refused(api: Client, field: str, value: str) -> None:
    body = json.dumps(PANEL | {field: "@"}).replace('"@"', value)
    problem(api.post("/api/v1/panels/", body, "application/json"), 400)


def test_the_title_of_a_problem_has_no_places_to_fill_in(api: Client) -> None:
    wrong_verb = problem(api.post("/api/v1/timeline/", {}, "application/json"), 405)
    wrong_type = problem(api.post("/api/v1/panels/", "<a/>", "text/xml"), 415)
    titles = [wrong_verb["title"], wrong_type["title"]]
    assert titles == ["Method not allowed", "Unsupported media type in request"]


def test_a_pair_of_surrogates_is_a_character(api: Client) -> None:
    body = json.dumps(PANEL | {"title": "\U0001f4a1 \\u0000"})
    assert api.post("/api/v1/panels/", body, "application/json").status_code == 201
    assert Panel.objects.get(slug="p").title == "\U0001f4a1 \\u0000"


@pytest.mark.parametrize("position", ["abc", "\x00", "", "nan", "2026-13-01"])
@pytest.mark.parametrize("name", ["upstreams", "alerts", "audit/entries", "tokens"])
def test_a_cursor_that_no_page_gave_is_refused(api: Client, name: str, position: str) -> None:
    answer = api.get(f"/api/v1/{name}/?cursor={cursor(p=position)}")
    assert "cursor" in problem(answer, 400)["errors"]


@pytest.mark.parametrize(
    "path", ["services/%00/", "metrics/query_range/?query=up&upstream=%00", "panels/?ordering=--id"]
)
def test_a_nul_in_the_url_and_a_double_minus_are_refused(api: Client, path: str) -> None:
    problem(api.get(f"/api/v1/{path}"), 400)


@pytest.mark.parametrize("address", ["fe80::1%25eth0", "%00", "1.2.3.4%00", "fe80::1%25%00"])
@pytest.mark.parametrize("form", ["", "&format=csv"])
def test_an_address_with_a_zone_finds_nothing(api: Client, address: str, form: str) -> None:
    answer = api.get(f"/api/v1/audit/entries/?source_ip={address}{form}")
    assert answer.status_code in (200, 400)


@pytest.mark.parametrize(
    "path", ["/api/", "/api/v2/x/", "/api/v1/nothing/", "/api/v1/1%0a/x/", "/api/%00"]
)
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_an_unknown_path_is_a_problem(path: str, method: str) -> None:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    problem(getattr(client, method)(path), 404)


def test_a_foreign_host_is_a_problem(client: Client) -> None:
    problem(client.get("/api/v1/alerts/", headers={"Host": "evil.example"}), 400)


@pytest.mark.parametrize(
    "options",
    [
        {"watchdogs": [{"watchdog": 5}]},
        {"watchdogs": [{"watchdog": "abc"}]},
        {"watchdogs": [{"watchdog": ['a="b"'], "covers": None}]},
        {"timeout_seconds": -5},
        {"timeout_seconds": 1e300},
        {"timeout_seconds": 0},
        {"max_body_mb": -1},
        {"max_body_mb": 10**12},
    ],
)
def test_options_that_would_break_a_poll_are_refused(api: Client, options: Any) -> None:
    url = f"/api/v1/upstreams/{make_upstream().pk}/"
    answer = api.patch(url, json.dumps({"options": options}), "application/json")
    assert "options" in problem(answer, 400)["errors"]


@pytest.mark.parametrize(
    "name", ["upstreams", "services", "panels", "alerts", "silences", "tokens", "audit/entries"]
)
def test_each_list_is_offered_as_csv_without_secrets(api: Client, name: str) -> None:
    make_service()
    make_upstream(credentials={"token": "hush-hush"})
    answer = api.get(f"/api/v1/{name}/?format=csv")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    text = answer.getvalue().decode()
    assert text.count("\r\n") >= (2 if name in ("upstreams", "services", "panels", "tokens") else 1)
    assert "hush-hush" not in text
    assert '"credentials"' not in text.partition("\r\n")[0]


@pytest.mark.parametrize(
    ("error", "status"), [(OperationalError("the connection is lost"), 503), (KeyError("x"), 500)]
)
def test_an_outage_is_503_and_a_fault_of_ours_a_500_without_details(
    api: Client, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    def fail(*_args: Any) -> Any:
        raise error

    monkeypatch.setattr("monitoring.api_services.ServiceViewSet.get_queryset", fail)
    answer = api.get("/api/v1/services/")
    assert str(error) not in json.dumps(problem(answer, status))
    assert answer.get("Retry-After") == ("5" if status == 503 else None)


def test_the_name_of_the_schema_file_is_ours(api: Client) -> None:
    answer = api.get("/api/v1/schema/?version=%00")
    assert answer.status_code == 200
    assert "\x00" not in answer["Content-Disposition"]


def test_a_body_that_is_no_json_is_refused_in_whole_sentences(api: Client) -> None:
    problem = api.post("/api/v1/services/", "x", content_type="text/plain").json()
    assert problem["status"] == 415
    assert "{" not in problem["title"] + problem["detail"]


@pytest.mark.parametrize(
    "query, accept, kind",
    [
        ("", "*/*", "application/vnd.oai.openapi"),
        ("?format=json", "*/*", "application/vnd.oai.openapi+json"),
        ("?format=yaml", "*/*", "application/vnd.oai.openapi"),
        ("", "application/json", "application/json"),
    ],
)
def test_the_schema_is_yaml_or_json_as_is_asked_for(
    api: Client, query: str, accept: str, kind: str
) -> None:
    answer = api.get(f"/api/v1/schema/{query}", headers={"Accept": accept})
    assert (answer.status_code, answer["Content-Type"].partition(";")[0]) == (200, kind)
    assert answer.content.startswith(b"{") is kind.endswith("json")


@pytest.mark.parametrize(
    "query, accept, status", [("", "image/png", 406), ("?format=x", "*/*", 404)]
)
def test_a_problem_is_json_where_the_answer_would_have_been_yaml(
    api: Client, query: str, accept: str, status: int
) -> None:
    answer = api.get(f"/api/v1/schema/{query}", headers={"Accept": accept})
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status


@pytest.mark.parametrize(
    "wrong, field",
    [
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"allowed_networks": ["10.0.0.0/99"]}, "allowed_networks"),
        ({"scopes": []}, "scopes"),
    ],
)
def test_what_is_wrong_with_a_token_is_said_at_its_field(
    api: Client, wrong: dict[str, Any], field: str
) -> None:
    body = {"name": "n", "scopes": ["read"], **wrong}
    answer = api.post("/api/v1/tokens/", body, content_type="application/json")
    assert set(problem(answer, 400)["errors"]) == {field}
