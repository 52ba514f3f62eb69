"""GET logs/search/: filters, pages, context, and refusals in the server's own words."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from portal.core.models import Upstream
from tests.elastic import FakeElasticsearch, reply, wire_line
from tests.factories import make_user, sign_in

pytestmark = pytest.mark.django_db
URL = "/api/v1/logs/search/"


@pytest.fixture
def api(client: Client, upstream: Upstream) -> Client:
    sign_in(client)
    return client


def ask(api: Client, path: str = URL, **parameters: Any) -> dict[str, Any]:
    answer = api.get(path, parameters)
    assert answer.status_code == 200, answer.content
    decoded: dict[str, Any] = answer.json()
    return decoded


def messages(document: dict[str, Any]) -> list[str]:
    return [line["message"] for line in document["results"]]


def test_the_newest_lines_come_first_with_a_histogram(api: Client) -> None:
    document = ask(api)
    assert messages(document) == ["other", "payment refused", "payment taken"]
    assert (document["total"], document["total_is_exact"]) == (3, True)
    assert sum(bar["lines"] for bar in document["histogram"]) == 3
    assert sum(bar["errors"] for bar in document["histogram"]) == 1
    assert document["results"][1]["level"] == "error"
    assert document["next"] is None


@pytest.mark.parametrize(
    "parameters, expected",
    [({"q": "payment"}, 2), ({"q": "payment refused"}, 1), ({"service": "search"}, 1),
     ({"service": "sear"}, 0),
     ({"level": "error,critical"}, 1), ({"level": "info"}, 2), ({"host": "web-1"}, 3), ({"host": "web-2"}, 0)],
    ids=str,
)  # fmt: skip
def test_filters(api: Client, parameters: dict[str, str], expected: int) -> None:
    assert ask(api, **parameters)["total"] == expected


def test_pages_lose_and_repeat_nothing_even_within_one_millisecond(
    api: Client, elastic: FakeElasticsearch
) -> None:
    now = timezone.now()
    moments = [now - timedelta(seconds=100 + number // 5) for number in range(53)]
    elastic.documents = [wire_line(at, f"line {n}") for n, at in enumerate(moments)]
    seen, following, rounds = [], URL, 0
    while following and rounds < 20:
        document = ask(api, following) if rounds else ask(api, page_size=7)
        seen += messages(document)
        following, rounds = document["next"], rounds + 1
    assert sorted(seen) == sorted(f"line {n}" for n in range(53))


@pytest.mark.parametrize("shards", [1, 3])
def test_many_lines_of_one_moment_are_found_page_by_page(
    api: Client, elastic: FakeElasticsearch, shards: int
) -> None:
    """More than a link can name: a bulk that was written with one time for all."""
    moment = timezone.now() - timedelta(minutes=1)
    elastic.shards = shards
    elastic.documents = [wire_line(moment, f"line {n}") for n in range(350)]
    seen, following, rounds = [], URL, 0
    while following and rounds < 20:
        document = ask(api, following) if rounds else ask(api, page_size=120)
        seen += messages(document)
        following, rounds = document["next"], rounds + 1
    assert sorted(seen) == sorted(f"line {n}" for n in range(350))


def test_a_following_page_keeps_the_time_of_the_first(api: Client) -> None:
    document = ask(api, page_size=1, range="15m")
    query = parse_qs(urlsplit(document["next"]).query)
    assert query["since"] == [document["since"]]
    assert "range" not in query


def test_the_lines_around_one(api: Client, elastic: FakeElasticsearch) -> None:
    now = timezone.now()
    elastic.documents = [wire_line(now - timedelta(seconds=n), f"line {n}") for n in range(20)]
    elastic.documents += [
        wire_line(now - timedelta(seconds=10), "foreign", **{"service.name": "x"})
    ]
    document = ask(api, context="id-10", lines=2)
    assert messages(document) == ["line 12", "line 11", "line 10", "line 9", "line 8"]
    assert api.get(URL, {"context": "none"}).status_code == 404


def test_a_malformed_query_is_a_400_in_the_servers_words(api: Client) -> None:
    answer = api.get(URL, {"q": "level:("})
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert 'Failed to parse query [level:(]: Encountered "<EOF>"' in answer.json()["detail"]


@pytest.mark.parametrize(
    "status, name, words",
    [
        (401, "unauthorised", "unable to authenticate user [portal_reader]"),
        (403, "forbidden", "is unauthorized for user [portal_reader]"),
        (404, "index-missing", "has no index 'logs-*'. Correct ELASTICSEARCH_INDEX"),
        (429, "circuit-breaker", "Data too large"),
        (503, "unauthorised", "failed with HTTP 503"),
    ],
)  # fmt: skip
def test_a_refusal_of_the_server_is_a_424_in_words(
    api: Client, elastic: FakeElasticsearch, status: int, name: str, words: str
) -> None:
    elastic.refuse = (status, reply(name))
    answer = api.get(URL)
    assert answer.status_code == 424
    assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    "body, words",
    [(b"<!doctype html><title>Login</title>", "HTML page instead of JSON"), (b"{}", "does not answer like"),
     (b'{"hits": {"hits": 3}}', "no list of hits"), (b'{"hits"', "not JSON")],
)  # fmt: skip
def test_an_answer_that_is_no_search_is_a_424(
    api: Client, elastic: FakeElasticsearch, body: bytes, words: str
) -> None:
    elastic.body = body
    answer = api.get(URL)
    assert answer.status_code == 424
    assert words in answer.json()["detail"]


def test_a_part_of_the_truth_is_said(api: Client, elastic: FakeElasticsearch) -> None:
    elastic.patch = {"timed_out": True, "_shards": reply("search-partial")["_shards"]}
    assert len(ask(api)["notes"]) == 2


def test_wrong_parameters_are_named(api: Client, elastic: FakeElasticsearch) -> None:
    answer = api.get(URL, {"since": "yesterday", "level": "loud", "page_size": "9999"})
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {"since", "level", "page_size"}
    assert elastic.searches == []


def test_without_a_server_it_says_what_to_set(client: Client) -> None:
    sign_in(client)
    answer = client.get(URL)
    assert answer.status_code == 424
    assert "Set ELASTICSEARCH_URL" in answer.json()["detail"]


def test_nobody_reads_logs_without_a_second_factor(client: Client, upstream: Upstream) -> None:
    client.force_login(make_user(verified=False))
    assert client.get(URL).status_code in (401, 403)


def test_an_api_key_is_sent_as_such(
    api: Client, upstream: Upstream, elastic: FakeElasticsearch
) -> None:
    ask(api)
    assert elastic.authorisation.startswith("Basic ")
    upstream.credentials = {"token": "a2V5"}
    upstream.options = {"index": "logs-shop-*,other"}
    upstream.save()
    ask(api)
    assert elastic.authorisation == "ApiKey a2V5"
    assert elastic.paths[-1] == "/logs-shop-*,other/_search"


def test_kibana_gets_the_same_search(api: Client, upstream: Upstream, settings: Any) -> None:
    assert ask(api)["kibana_url"] == ""
    settings.KIBANA_URL = "https://kibana.example"
    assert "/app/discover#/?_g=(" in ask(api)["kibana_url"]
    upstream.observed = {"distribution": "OpenSearch", "version": "2.18.0"}
    upstream.save(update_fields=["observed"])
    assert "/app/data-explorer/discover#" in ask(api)["kibana_url"]


def test_a_mapping_that_does_not_fit_is_no_fault_of_the_asker(
    api: Client, elastic: FakeElasticsearch
) -> None:
    elastic.refuse = (400, reply("refused-mapping"))
    answer = api.get(URL)
    assert answer.status_code == 424
    assert "the field @timestamp has to be a date" in answer.json()["detail"]
    assert api.get(URL, {"q": "payment"}).status_code == 400
