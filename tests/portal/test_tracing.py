"""Traces: nothing is loaded without an endpoint; with one, spans arrive and their id is everywhere."""

import io
import json
import logging
import os
import subprocess
import sys

import pytest
from django.conf import settings
from django.test import Client

from audit.models import AuditEntry
from portal.core.embedded.places import BASE_DIR
from portal.core.links import trace_url
from portal.core.logs import EcsFormatter
from tests.otlp import receiving

QUIET = """
import django, sys
django.setup()
from django.test import Client
Client().get("/healthz")
print([name for name, module in sys.modules.items() if name.startswith("opentelemetry") and module])
"""
# A request that reads PostgreSQL and Redis, asks an upstream, and starts a task.
BUSY = """
import json, django
django.setup()
from django.conf import settings
settings.CELERY_TASK_ALWAYS_EAGER = True
from django.core.cache import cache
from django.db import connection
from django.test import Client
from portal.celery import app
from portal.tasks import worker_heartbeat
from portal.core.http import Client as Http, Target
app.conf.task_always_eager = True
answer = Client(raise_request_exception=False).get("/api/v1/nothing/")
cache.get("nothing")
connection.cursor().execute("SELECT 1")
worker_heartbeat.delay()
Http(Target("loopback", "{receiver}")).ask("GET")
Client().get("/healthz")
print(json.dumps(answer.json()))
"""


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_nothing_of_opentelemetry_is_loaded_without_an_endpoint() -> None:
    assert run(QUIET, OTEL_EXPORTER_OTLP_ENDPOINT="").strip() == "[]"


def test_requests_tasks_redis_and_polls_are_traced_and_the_problem_names_the_trace() -> None:
    with receiving() as receiver:
        code = BUSY.replace("{receiver}", receiver.url)
        problem = json.loads(run(code, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url).splitlines()[-1])
    spans = receiver.spans()
    assert {"django", "psycopg", "redis", "celery", "requests"} <= {kind for kind, _, _ in spans}, (
        spans
    )
    requests = {name: trace for kind, name, trace in spans if kind == "django"}
    assert list(requests.values()) == [problem["trace_id"]], requests  # none for /healthz


def test_no_span_holds_a_one_time_link() -> None:
    token = "dop_enrol_" + "A" * 32
    code = f"""
import django
django.setup()
from django.test import Client
Client(raise_request_exception=False).get("/admin/enrol/link/{token}/")
"""
    with receiving() as receiver:
        run(code, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    sent = "".join(receiver.bodies)
    assert b"/admin/enrol/link/[redacted]/".hex() in sent
    assert token.encode().hex() not in sent


@pytest.mark.django_db(databases=["default", "autocommit"])
def test_the_trace_of_a_caller_stands_in_log_lines_entries_and_problems(client: Client) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(EcsFormatter())
    access = logging.getLogger("portal.access")
    access.addHandler(handler)
    try:
        headers = {
            "traceparent": f"00-{trace}-00f067aa0ba902b7-01",
            "Authorization": "Bearer dop_pat_x",
        }
        answer = client.get("/api/v1/alerts/", headers=headers)
    finally:
        access.removeHandler(handler)
    assert (answer.status_code, answer.json()["trace_id"]) == (401, trace)
    assert json.loads(written.getvalue().splitlines()[-1])["trace.id"] == trace
    request_id = answer["X-Request-Id"]
    (entry,) = AuditEntry.objects.using("autocommit").filter(request_id=request_id)
    assert (entry.action, entry.trace_id) == ("token.rejected", trace)


def test_a_collector_that_is_away_holds_nobody_up() -> None:
    run(QUIET, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("template", "trace", "expected"),
    [
        ("", "a" * 32, ""),
        ("https://jaeger.example", "A" * 32, f"https://jaeger.example/trace/{'a' * 32}"),
        (
            "https://g.example/explore?q={trace_id}",
            "a" * 16,
            f"https://g.example/explore?q={'a' * 16}",
        ),
        ("https://jaeger.example", "0" * 32, ""),
        ("https://jaeger.example", "javascript:x", ""),
        ("https://jaeger.example", "", ""),
    ],
)
def test_trace_links(
    template: str, trace: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "TRACES_URL", template)
    assert trace_url(trace) == expected
