"""The freshness of an Elasticsearch, its connection test, and its row from the environment."""

from typing import Any

import pytest

from monitoring import connection_test
from monitoring.tasks import poll_upstream
from portal import managed_upstreams
from portal.core.models import Upstream
from tests.elastic import FakeElasticsearch, reply

pytestmark = pytest.mark.django_db


def polled(upstream: Upstream) -> Upstream:
    poll_upstream(upstream.pk)
    upstream.refresh_from_db()
    return upstream


def test_a_poll_notes_version_and_health(upstream: Upstream, elastic: FakeElasticsearch) -> None:
    assert polled(upstream).observed == {
        "distribution": "Elasticsearch", "version": "7.17.29", "cluster": "t", "status": "green",
    }  # fmt: skip
    elastic.root = reply("root-opensearch")
    assert polled(upstream).observed["distribution"] == "OpenSearch"


@pytest.mark.parametrize(
    "health, words",
    [("health-red", "The cluster is red: 1 of its shards are missing"), ("health-yellow", "The cluster is yellow"),
     ("health-yellow-single", ""), ("health-opensearch", ""), ("health-green", "")],
)  # fmt: skip
def test_the_health_is_a_sentence(
    upstream: Upstream, elastic: FakeElasticsearch, health: str, words: str
) -> None:
    elastic.health = reply(health)
    warning = polled(upstream).warning
    assert warning.startswith(words)
    assert bool(warning) == bool(words)
    result = connection_test.run(upstream, actor=None)
    assert result.ok == (not words)
    assert words in result.sentence


def test_an_index_that_is_not_there_is_a_warning(
    upstream: Upstream, elastic: FakeElasticsearch
) -> None:
    elastic.refuse = (200, reply("search-no-index"))
    assert "No index matches 'logs-*'" in polled(upstream).warning
    assert "No index matches 'logs-*'" in connection_test.run(upstream, actor=None).sentence


@pytest.mark.parametrize(
    "body, words",
    [(b"<html>", "HTML page"), (b"{}", "reports no version"), (b"[]", "reports no version"),
     (b"", "not JSON")],
)  # fmt: skip
def test_a_stranger_is_told_apart(
    upstream: Upstream, elastic: FakeElasticsearch, body: bytes, words: str
) -> None:
    elastic.body = body
    assert words in connection_test.run(upstream, actor=None).sentence
    assert words in polled(upstream).error


def test_refused_credentials_are_said(upstream: Upstream, elastic: FakeElasticsearch) -> None:
    elastic.refuse = (401, reply("unauthorised"))
    assert "rejected the credentials" in connection_test.run(upstream, actor=None).sentence


@pytest.mark.parametrize(
    "health", [{}, [], {"status": 3, "unassigned_shards": None, "number_of_nodes": "x"}]
)
def test_an_odd_health_harms_nothing(
    upstream: Upstream, elastic: FakeElasticsearch, health: Any
) -> None:
    elastic.health = health
    assert polled(upstream).error == ""


def test_the_environment_makes_a_row_without_a_secret_in_its_address(settings: Any) -> None:
    settings.ELASTICSEARCH_URL = "http://portal_reader:p%40ss@elasticsearch:9200/es"
    settings.ELASTICSEARCH_INDEX = "logs-portal-default"
    managed_upstreams.synchronise()
    row = Upstream.objects.get(name="elasticsearch")
    assert row.url == "http://elasticsearch:9200/es"
    assert row.credentials == {"username": "portal_reader", "password": "p@ss"}
    assert row.options == {"index": "logs-portal-default"}
    settings.ELASTICSEARCH_API_KEY = "a2V5"
    managed_upstreams.synchronise()
    row.refresh_from_db()
    assert row.credentials == {"token": "a2V5"}
