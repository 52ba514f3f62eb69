"""A fake Elasticsearch with three lines, connected."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from portal.core.models import Upstream
from tests.elastic import FakeElasticsearch, fake_elasticsearch, wire_line
from tests.factories import make_elasticsearch


@pytest.fixture
def elastic() -> Iterator[FakeElasticsearch]:
    now = timezone.now()
    with fake_elasticsearch() as fake:
        fake.documents = [
            wire_line(now - timedelta(minutes=3), "payment taken"),
            wire_line(now - timedelta(minutes=2), "payment refused", **{"log.level": "error"}),
            wire_line(now - timedelta(minutes=1), "other", **{"service.name": "search"}),
        ]
        yield fake


@pytest.fixture
def upstream(elastic: FakeElasticsearch, db: None) -> Upstream:
    return make_elasticsearch(
        elastic.url, name="elasticsearch", credentials={"username": "reader", "password": "pw"}
    )
