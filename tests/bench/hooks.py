"""Webhooks: how many alerts a second are fully processed, and how soon one is visible."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.test import Client

from alerts import hooks
from alerts.models import Alert
from portal.core.models import Upstream
from security import tokens
from tests.bench.table import Row, seconds
from tests.factories import make_user
from tests.fakes import stamp, wire_alert
from tests.stack import until

GROUPS, GROUP = 20, 500


def measure() -> Iterator[Row]:
    upstream = Upstream.objects.create(
        name="bench-hooks", kind="alertmanager", url="http://127.0.0.1:9", enabled=False
    )
    token = tokens.create(user=make_user(), name="bench", scopes=["admin"])[1]
    client = Client(headers={"Authorization": f"Bearer {token}"})
    bodies = [_body(range(g * GROUP, (g + 1) * GROUP)) for g in range(GROUPS)]
    url = f"/api/v1/hooks/alertmanager/{upstream.name}/"

    def ingest() -> None:
        for body in bodies:
            assert client.post(url, body, content_type="application/json").status_code == 202
        hooks.process_waiting(limit=GROUPS)

    taken = seconds(ingest)
    assert Alert.objects.filter(upstream=upstream).count() == GROUPS * GROUP
    rate = GROUPS * GROUP / taken
    yield Row(
        f"webhook ingest, groups of {GROUP}, queue drained",
        f"{taken * 1000:.0f} ms",
        "",
        rate,
        5000,
        "alerts/s",
        True,
    )
    yield from _visible(client, url)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE alerts_alert, alerts_transition, alerts_hookdelivery CASCADE")
    upstream.delete()


def _body(numbers: range) -> bytes:
    now = datetime.now(UTC)
    alerts = [
        {**{k: v for k, v in wire_alert(n).items() if k not in ("status", "updatedAt", "receivers")},
         "status": "firing", "startsAt": stamp(now - timedelta(minutes=1)), "endsAt": "0001-01-01T00:00:00Z"}
        for n in numbers
    ]  # fmt: skip
    return json.dumps(
        {"version": "4", "receiver": "portal", "status": "firing", "alerts": alerts}
    ).encode()


def _visible(client: Client, url: str) -> Iterator[Row]:
    """With a real worker beside: time from the POST to the alert in the API's list."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "portal.celery", "worker", "--concurrency=1", "--loglevel=ERROR"],
        env={**os.environ, "LOG_LEVEL": "ERROR"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _post_and_wait(client, url, 900_000)  # the first one waits for the worker's start
        slowest, answer = 0.0, 0.0
        for number in range(900_001, 900_006):
            answered, visible = _post_and_wait(client, url, number)
            slowest, answer = max(slowest, visible), max(answer, answered)
    finally:
        worker.terminate()
        worker.wait(30)
    yield Row(
        "webhook POST to visible in the API, slowest of 5",
        f"{slowest * 1000:.0f} ms",
        "",
        slowest,
        1,
        "s",
    )
    yield Row("  its HTTP answer", f"{answer * 1000:.0f} ms", "", answer, 0.5, "s")


def _post_and_wait(client: Client, url: str, number: int) -> tuple[float, float]:
    began = time.perf_counter()
    client.post(url, _body(range(number, number + 1)), content_type="application/json")
    answered = time.perf_counter() - began
    wanted = f"/api/v1/alerts/?fingerprint={number:016x}"
    until(lambda: client.get(wanted).json()["results"], "the alert never became visible", 60)
    return answered, time.perf_counter() - began
