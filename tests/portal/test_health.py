"""`/healthz` asks nothing; `/readyz` names each part and its cure."""

import logging
import time
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from pytest_django import Settings

from portal.tasks import HEARTBEAT_KEY, worker_heartbeat

NO_REDIS = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:1/0",
    }
}


def test_healthz_answers_without_a_database(client: Client) -> None:
    """No django_db mark: any query would fail this test."""
    reply = client.get("/healthz")
    assert (reply.status_code, reply.content) == (200, b"ok\n")
    assert "portal_session" not in reply.cookies


def test_the_bare_address_leads_to_the_dashboard(client: Client) -> None:
    assert client.get("/").headers["Location"] == "/admin/"


@pytest.mark.django_db
def test_ready_when_every_part_is(client: Client) -> None:
    worker_heartbeat()
    reply = client.get("/readyz")
    assert (reply.status_code, reply.json()["status"]) == (200, "ready")
    assert set(reply.json()["parts"]) == {"database", "migrations", "redis", "worker"}


def parts(client: Client) -> dict[str, Any]:
    reply = client.get("/readyz")
    assert reply.status_code == 503
    found: dict[str, Any] = reply.json()["parts"]
    assert all(part["detail"].endswith(".") for part in found.values())
    return found


@pytest.mark.django_db
def test_not_ready_without_a_sign_of_life_of_a_worker(client: Client) -> None:
    assert parts(client)["worker"] == {
        "ready": False,
        "detail": "No worker has sent a heartbeat. Start worker and beat.",
    }
    cache.set(HEARTBEAT_KEY, time.time() - 600)
    assert "for 600 s" in parts(client)["worker"]["detail"]


@pytest.mark.django_db
def test_not_ready_while_migrations_are_missing(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'security'")
    found = parts(client)
    assert not found["migrations"]["ready"]
    assert "manage.py migrate" in found["migrations"]["detail"]
    assert found["database"]["ready"]


@pytest.mark.django_db
def test_not_ready_without_redis(client: Client, settings: Settings) -> None:
    settings.CACHES = NO_REDIS
    found = parts(client)
    assert "REDIS_URL" in found["redis"]["detail"]
    assert not found["worker"]["ready"]


def test_not_ready_without_a_database(client: Client, broken_database: None) -> None:
    found = parts(client)
    assert "DATABASE_URL" in found["database"]["detail"]
    assert not found["migrations"]["ready"]


@pytest.mark.django_db
def test_each_request_leaves_one_line_and_probes_none(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="portal.access"):
        client.get("/healthz")
        client.get("/readyz?token=hunter2", HTTP_USER_AGENT="probe\x00")
    lines = [record for record in caplog.records if record.name == "portal.access"]
    assert [line.getMessage() for line in lines] == ["GET /readyz 503"]
    facts = vars(lines[0])
    assert facts["http.response.status_code"] == 503
    assert facts["source.ip"] == "127.0.0.1"
    assert facts["event.duration"] > 0
    assert "hunter2" not in str(facts["url.path"])
