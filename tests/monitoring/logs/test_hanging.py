"""A server that hangs holds a thread once, for a short time; then it is left alone for a while."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from redis.exceptions import ConnectionError as RedisConnectionError

from monitoring.logs import search
from monitoring.logs.parameters import parse_parameters
from portal.core import breaker
from portal.core.http import UpstreamError
from portal.core.models import Upstream
from tests.elastic import FakeElasticsearch, reply
from tests.factories import sign_in

pytestmark = pytest.mark.django_db
URL = "/api/v1/logs/search/"


class NoRedis:
    def __getattr__(self, name: str) -> Any:
        raise RedisConnectionError("away")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "INTERACTIVE_SECONDS", 0.3)
    breaker._local.clear()
    breaker._slots.clear()


@pytest.fixture
def api(client: Client, upstream: Upstream) -> Client:
    sign_in(client)
    return client


def detail(api: Client, code: int = 424) -> str:
    answer = api.get(URL)
    assert answer.status_code == code, answer.content
    return str(answer.json().get("detail", ""))


@pytest.mark.parametrize("redis", ["there", "away"])
def test_after_a_timeout_the_next_searches_fail_at_once(
    api: Client, elastic: FakeElasticsearch, redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if redis == "away":
        monkeypatch.setattr(breaker, "cache", NoRedis())
    elastic.hangs = True
    assert "did not answer within 0.3 seconds" in detail(api)
    began = time.monotonic()
    assert "it is not asked again for 30 seconds" in detail(api)
    assert time.monotonic() - began < 0.3
    assert len(elastic.paths) == 1
    assert 25 <= int(api.get(URL)["Retry-After"]) <= 30
    page = api.get("/admin/logs/").content.decode()
    assert "it is not asked again for" in page


def test_other_processes_know_it_too(api: Client, elastic: FakeElasticsearch) -> None:
    elastic.hangs = True
    detail(api)
    breaker._local.clear()  # what another process has never seen
    assert "it is not asked again for" in detail(api)


def test_after_the_rest_one_search_tries_and_ends_it(
    api: Client, elastic: FakeElasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "OPEN_SECONDS", 0.0)
    elastic.hangs = True
    assert "did not answer within" in detail(api)
    assert "did not answer within" in detail(api)  # the try, which fails
    assert len(elastic.paths) == 2
    elastic.hangs = False
    elastic.refuse = (400, reply("refused-query"))
    assert "cannot search" in detail(api)  # a refusal is an answer
    elastic.refuse = None
    detail(api, 200)


def test_while_one_tries_the_others_do_not_wait(api: Client, elastic: FakeElasticsearch) -> None:
    elastic.hangs = True
    detail(api)
    key = cache._cache.get_client().keys("*breaker*")[0].decode().split(":1:")[1]  # type: ignore[attr-defined]
    cache.set(key, time.time() - 1)
    assert cache.add(f"{key}:trial", 1, 15)
    assert "it is not asked again for" in detail(api)
    assert len(elastic.paths) == 1


def test_few_threads_of_a_process_ask_at_once(
    upstream: Upstream, elastic: FakeElasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "SLOT_WAIT_SECONDS", 0.05)
    monkeypatch.setattr(search, "INTERACTIVE_SECONDS", 3.0)
    monkeypatch.setattr(search, "default_elasticsearch", lambda: upstream)
    elastic.hangs = True

    def ask(_number: int) -> str:
        with pytest.raises(UpstreamError) as caught:
            search.search(parse_parameters({}, at=upstream.attempted_at).query)  # type: ignore[arg-type]
        return str(caught.value)

    with ThreadPoolExecutor(5) as pool:
        said = list(pool.map(ask, range(5)))
    assert sum("still busy with earlier searches" in sentence for sentence in said) == 3
    assert len(elastic.paths) == breaker.MAX_CONCURRENT
