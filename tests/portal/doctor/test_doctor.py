"""The doctor through command, page and API: every part is examined, and none stops the others."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings as configured
from django.core.cache import cache
from django.core.management import call_command
from django.db import DatabaseError, OperationalError, ProgrammingError
from django.test import Client
from django.urls import reverse
from pytest_django import Settings
from redis.exceptions import ConnectionError as RedisDown

from portal import beat
from portal.core.probing import ProbeAnswer
from portal.doctor import examination, facts, upstreams
from portal.doctor.findings import Finding
from portal.tasks import HEARTBEAT_KEY
from security import tokens
from tests.core.hostile import read_head, reply, serving
from tests.factories import (
    make_channel,
    make_check,
    make_target,
    make_upstream,
    make_user,
    sign_in,
)
from tests.fakes import fake_alertmanager

pytestmark = pytest.mark.django_db


def examined() -> dict[str, Finding]:
    """Return the worst finding of each thing."""
    order = {"ok": 0, "warn": 1, "fail": 2}
    found: dict[str, Finding] = {}
    for finding in sorted(examination.examine(), key=lambda f: order[f.level]):
        found[finding.thing] = finding
    return found


@pytest.fixture
def broker() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(configured.REDIS_URL) as client:
        yield client


def test_a_portal_at_work_is_well() -> None:
    cache.set(HEARTBEAT_KEY, time.time())
    beat.record_heartbeat()
    found = examined()
    for thing in ("postgresql", "migrations", "audit partitions", "clock", "redis", "worker", "beat", "queue",
                  "routing", "webhooks", "detector", "checks", "siem", "retention", "audit file"):  # fmt: skip
        assert found[thing].level == "ok", found[thing]


def test_two_beats_are_found_and_one_that_stopped_is_forgotten(broker: redis.Redis) -> None:
    beat.record_heartbeat()
    broker.zadd(beat.KEY, {"other:7": time.time(), "gone:9": time.time() - beat.LIVE_SECONDS - 1})
    said = examined()["beat"]
    assert (said.level, "2 beats" in said.text, "other:7" in said.text) == ("fail", True, True)
    broker.zrem(beat.KEY, "other:7")
    assert examined()["beat"].level == "ok"
    beat.remove_heartbeat()
    assert "Start beat, exactly once" in examined()["beat"].text


def test_a_task_past_its_time_is_a_backlog(broker: redis.Redis) -> None:
    late = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()
    key = f"portal:celery:{configured.CELERY_TASK_DEFAULT_QUEUE}"
    broker.lpush(key, json.dumps({"headers": {"expires": late}}))
    said = examined()["queue"]
    assert (said.level, "should have run 60" in said.text) == ("fail", True), said


@pytest.mark.parametrize(
    "message", [None, b"", b"{", b"[]", b'{"headers": null}', b'{"headers": {"expires": "x"}}']
)
def test_a_message_that_cannot_be_read_is_not_late(message: bytes | None) -> None:
    assert facts.expired_seconds(message, now=time.time()) == 0


def test_what_is_in_rows_is_told() -> None:
    channel = make_channel(name="mail")
    type(channel).objects.update(failures=3, error="HTTP 503")
    make_check()
    from_past = make_check()
    type(from_past).objects.update(next_run_at=datetime.now(UTC) - timedelta(hours=1))
    found = examined()
    assert "HTTP 503" in found["channel mail"].text
    assert found["checks"].level == "warn"


def test_folders_that_cannot_be_written_are_told(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    settings.AUDIT_LOG_DIR = str(tmp_path / "file" / "audit")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "file"))
    found = examined()
    assert (found["audit file"].level, found["metrics folder"].level) == ("fail", "fail")


def test_wrong_settings_are_told_with_their_hint(settings: Settings) -> None:
    settings.SENTRY_ORG = "acme"
    said = examined()["configuration portal.E003"]
    assert (said.level, "SENTRY_API_URL is the address" in said.cure) == ("fail", True)


def _raise(error: Exception) -> Any:
    def part(*_args: Any) -> list[Finding]:
        raise error

    return part


@pytest.mark.parametrize(
    "error, words",
    [(OperationalError("server closed"), "DATABASE_URL"), (RedisDown("refused"), "REDIS_URL"),
     (DatabaseError("x"), "x."),
     (ProgrammingError("no table"), "manage.py prepare"), (ValueError("odd"), "bug in the portal")],
)  # fmt: skip
def test_a_part_that_breaks_stops_no_other(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = (("first", _raise(error)), ("files", facts.places))
    monkeypatch.setattr(examination, "PARTS", parts)
    found = examination.examine()
    assert (found[0].level, words in found[0].text) == ("fail", True)
    assert len(found) > 2


def test_an_upstream_whose_asking_breaks_is_told_in_words_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_upstream(name="odd")
    monkeypatch.setattr("monitoring.connection_test.ask", _raise(ValueError("hunter2")))
    said = examined()["upstream odd"].text
    assert "This is a bug in the portal (ValueError)" in said
    assert "hunter2" not in said
    assert "hunter2" in caplog.text  # with its stack, in the log


def test_without_redis_each_part_says_so(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    found = examined()
    assert "REDIS_URL" in found["redis"].text
    assert found["postgresql"].level == "ok"


def test_a_target_of_the_portal_that_is_down_is_told_with_prometheus_s_reason() -> None:
    prometheus = make_upstream(kind="prometheus", name="prom")
    make_target(prometheus, job="portal", health="down", error="server returned 403")
    make_target(prometheus, job="shop", health="down", error="connection refused")
    asked = upstreams.Asked(prometheus, ProbeAnswer("It answers.", 0.0), None, scraped_series=0)
    (said,) = (f for f in upstreams._findings(asked) if f.thing == "scraping by prom")
    assert (said.level, "server returned 403. Check" in said.text) == ("fail", True)


def test_upstreams_are_asked_at_once_and_a_hanging_one_hides_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("portal.doctor.upstreams.ASK_SECONDS", 1.0)

    def hang(peer: Any) -> None:
        read_head(peer)
        peer.recv(1)

    with fake_alertmanager() as fake, serving(hang) as hanging, serving(reply(b"<html>")) as html:
        make_upstream(name="good", url=fake.url)
        for number in range(3):
            make_upstream(name=f"hangs-{number}", kind="prometheus", url=hanging)
        make_upstream(name="page", kind="prometheus", url=html)
        began = time.monotonic()
        found = examined()
    assert time.monotonic() - began < 8
    assert found["upstream good"].level == "warn"  # its configuration shows no webhook
    assert "did not answer within 1 seconds" in found["upstream hangs-2"].text
    assert "HTML page" in found["upstream page"].text


def test_the_command_has_a_line_for_each_and_its_status_tells() -> None:
    said = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", stdout=said, no_color=True)
    assert ended.value.code == 1
    assert "FAIL  worker" in said.getvalue()
    assert said.getvalue().strip().endswith("OK.")
    said = StringIO()
    with pytest.raises(SystemExit):
        call_command("doctor", "--json", stdout=said)
    found = json.loads(said.getvalue())
    assert {"thing", "level", "sentence", "cure"} == set(found[0])


def test_the_page_examines_only_when_told_to(client: Client) -> None:
    sign_in(client)
    path = reverse("admin:doctor")
    assert "The checks have not been run yet" in client.get(path).content.decode()
    page = client.post(path).content.decode()
    assert "Start beat, exactly once" in page
    assert "Failed" in page
    sign_in(client, make_user(is_superuser=False))
    assert client.post(path).status_code == 403


def test_the_api_says_the_same(client: Client) -> None:
    def post(*scopes: str) -> Any:
        token = tokens.create(user=make_user(), name="t", scopes=[*scopes])[1]
        return client.post("/api/v1/doctor/", headers={"Authorization": f"Bearer {token}"})

    found = post("monitoring:write").json()
    assert (found["worst"], any(f["thing"] == "beat" for f in found["findings"])) == ("fail", True)
    assert post("read").status_code == 403
