"""A fake Alertmanager, for behaviour that a real one cannot be made to show: old versions, wrong or lost data."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.serving import serving


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def wire_alert(number: int = 1, **over: Any) -> dict[str, Any]:
    """Return one alert as listed by API v2, firing for ten minutes, whose endsAt has already passed."""
    now = datetime.now(UTC)
    labels = {
        "alertname": "InstanceDown", "severity": "critical", "cluster": "eu", "env": "production", "role": "db",
        "job": "node", "instance": f"10.0.{number // 256}.{number % 256}:9100", "replica": "a", "team": "sre",
    }  # fmt: skip
    summary = f"Instance 10.0.{number // 256}.{number % 256}:9100 is down"
    return {
        "fingerprint": f"{number:016x}",
        "labels": labels,
        "annotations": {"summary": summary, "description": "It has not been scraped for a minute. " * 4,
                        "runbook_url": "https://runbooks.example/InstanceDown"},
        "startsAt": stamp(now - timedelta(minutes=10)),
        "endsAt": stamp(now - timedelta(seconds=1)),
        "updatedAt": stamp(now - timedelta(minutes=5)),
        "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
        "receivers": [{"name": "portal"}],
        "generatorURL": "http://prometheus.example/graph?g0.expr=up+%3D%3D+0",
        **over,
    }  # fmt: skip


class FakeAlertmanager:
    """Mutable state served over HTTP; set `broken` to a status code, or `body` to raw bytes."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []
        self.silences: list[dict[str, Any]] = []
        self.started_at = datetime.now(UTC) - timedelta(days=3)
        self.broken: int | None = None
        self.body: bytes | None = None
        self.clock_offset = timedelta(0)
        self.url = ""
        self.config = ""

    def answer(self, path: str) -> tuple[int, bytes]:
        if self.broken:
            return self.broken, b'{"message": "broken on purpose"}'
        if path == "/api/v2/alerts" and self.body is not None:
            return 200, self.body
        status = {
            "uptime": stamp(self.started_at),
            "cluster": {"status": "disabled"},
            "versionInfo": {"version": "0.25.0"},
            "config": {"original": self.config},
        }
        content = {
            "/api/v2/status": status,
            "/api/v2/alerts": self.alerts,
            "/api/v2/silences": self.silences,
        }
        return (200, json.dumps(content[path]).encode()) if path in content else (404, b"{}")


@contextmanager
def fake_alertmanager() -> Iterator[FakeAlertmanager]:
    fake = FakeAlertmanager()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65536  # headers and body in one segment

        def do_GET(self) -> None:
            code, body = fake.answer(self.path.partition("?")[0])
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string((datetime.now(UTC) + fake.clock_offset).timestamp())

        def log_message(self, *_args: Any) -> None:
            pass

    with serving(Handler) as port:
        fake.url = f"http://127.0.0.1:{port}"
        yield fake
