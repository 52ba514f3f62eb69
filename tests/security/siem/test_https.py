"""Forwarding by HTTPS: JSON lines with a token, at least once, and each refusal in words."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from security.models import SiemDestination
from security.siem import destinations, forwarding, https, transport
from tests.conftest import Trail
from tests.core import hostile
from tests.factories import make_user, sign_in
from tests.security.siem.test_forwarding import destination, record
from tests.serving import serving

pytestmark = pytest.mark.django_db(transaction=True)
TOKEN = "s3cret-token"


@dataclass
class Collector:
    """What came, and what is answered: a status with headers, for as long as it is set."""

    url: str = ""
    ca_pem: str = ""
    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    most_lines: int = 10_000
    requests: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, lines: list[str], headers: dict[str, str]) -> int:
        if len(lines) > self.most_lines:
            return 413
        self.requests.append({"lines": lines, **headers})
        return self.status

    @property
    def uids(self) -> list[str]:
        return [json.loads(line)["event.id"] for asked in self.requests for line in asked["lines"]]


@contextmanager
def collecting(collector: Collector, context: ssl.SSLContext) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status = collector.answer(body.splitlines(), dict(self.headers))
            said = b'{"error": "told why"}' if status >= 300 else b""
            self.send_response(status)
            for name, value in {**collector.headers, "Content-Length": str(len(said))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_args: Any) -> None:
            """Say nothing."""

    with serving(Handler, tls=context) as port:
        collector.url = f"https://localhost:{port}/v1/trail?source=portal"
        yield


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    context, pem = hostile.certificate(tmp_path)
    made = Collector(ca_pem=pem.read_text())
    with collecting(made, context):
        yield made


def forwarded_to(collector: Collector, **over: Any) -> SiemDestination:
    row = destination(collector.url, ca_pem=collector.ca_pem, **over)
    return destinations.save(row, token=TOKEN)


def failure(row: SiemDestination) -> str:
    record()
    assert forwarding.forward(row.pk) == 0
    row.refresh_from_db()
    return row.error


def test_entries_arrive_as_lines_with_the_token_once_and_in_order(collector: Collector) -> None:
    row = forwarded_to(collector)
    collector.requests.clear()
    wanted = record(600)  # more than a batch
    assert forwarding.forward(row.pk) >= 600
    assert collector.uids[-600:] == wanted
    asked = collector.requests[0]
    assert asked["Content-Type"] == "application/x-ndjson"
    assert asked["Authorization"] == f"Bearer {TOKEN}"
    assert forwarding.forward(row.pk) == 0


def test_what_is_refused_comes_again_from_the_cursor(collector: Collector) -> None:
    row = forwarded_to(collector)
    wanted, collector.status = record(3), 503
    assert forwarding.forward(row.pk) == 0
    collector.status = 200
    collector.requests.clear()
    assert forwarding.forward(row.pk) >= 3
    assert collector.uids[-3:] == wanted
    row.refresh_from_db()
    assert (row.error, row.failures, row.failing_since) == ("", 0, None)


@pytest.mark.parametrize(
    "status, words",
    [
        (400, "rejected the batch. Check its log for the reason (HTTP 400: told why)."),
        (401, "rejected the token. Set a valid token for the destination (HTTP 401"),
        (403, "Give it the permission"),
        (404, "no such path. Correct the URL"),
        (413, "does not accept entries of this size"),
        (415, "does not accept application/x-ndjson"),
        (500, "failed. See the log of that server (HTTP 500: told why)."),
    ],
)
def test_each_refusal_is_told_in_words(collector: Collector, status: int, words: str) -> None:
    collector.status = status
    assert words in failure(forwarded_to(collector))


@pytest.mark.parametrize("status", [429, 503])
def test_it_waits_as_long_as_the_collector_says(collector: Collector, status: int) -> None:
    collector.status, collector.headers = status, {"Retry-After": "120"}
    row = forwarded_to(collector)
    before = timezone.now()
    assert "accepts nothing until" in failure(row)
    assert row.not_before is not None
    assert timedelta(seconds=119) <= row.not_before - before <= timedelta(seconds=180)
    assert forwarding.claim_due(at=before + timedelta(seconds=60)) == []


def test_a_batch_that_is_too_large_goes_in_halves(collector: Collector) -> None:
    row = forwarded_to(collector)
    collector.most_lines = 3
    wanted = record(10)
    assert forwarding.forward(row.pk) >= 10
    assert collector.uids[-10:] == wanted
    assert max(len(asked["lines"]) for asked in collector.requests) <= 3


def test_an_unknown_authority_and_a_redirect_elsewhere_are_refused(collector: Collector) -> None:
    row = forwarded_to(collector)
    collector.status, collector.headers = 307, {"Location": "https://127.0.0.2/elsewhere"}
    assert "redirects to" in failure(row)
    SiemDestination.objects.filter(pk=row.pk).update(ca_pem="")
    assert "set the certificate of its CA" in failure(row)


def test_a_metadata_address_is_never_asked() -> None:
    with pytest.raises(transport.TransportError, match="never connects"):
        https.deliver(https.Collector("x", "https://169.254.169.254/"), [b"{}\n"])


def test_a_lost_key_is_told_and_hides_no_destination(settings: Any, client: Client) -> None:
    row = destinations.save(SiemDestination(name="a", url="https://siem.example/in"), token=TOKEN)
    sign_in(client, make_user())
    settings.FIELD_ENCRYPTION_KEYS = ["another-key"]
    assert forwarding.forward(row.pk) == 0
    row.refresh_from_db(fields=["error"])
    assert "Add the old key again" in row.error
    assert client.get("/api/v1/siem-destinations/").status_code == 200
    assert (
        "Add the old key again" in client.get("/admin/security/siemdestination/").content.decode()
    )


def test_the_token_is_encrypted_and_shown_to_nobody(client: Client, trail: Trail) -> None:
    sign_in(client, make_user())
    body = {"name": "a", "url": "https://siem.example/in", "token": TOKEN}
    made = client.post("/api/v1/siem-destinations/", body, content_type="application/json")
    assert made.status_code == 201, made.content
    pages = [made, client.get(f"/admin/security/siemdestination/{made.json()['id']}/change/")]
    assert "set; enter a new one" in pages[1].content.decode()
    with connection.cursor() as cursor:
        cursor.execute("SELECT token FROM security_siemdestination")
        stored = cursor.fetchone()[0]
    shown = [page.content.decode() for page in pages] + [stored, *(str(e.changes) for e in trail())]
    assert not [text for text in shown if TOKEN in text]
    assert SiemDestination.objects.get().token == TOKEN


@pytest.mark.parametrize(
    "change, said",
    [
        ({"url": "https://other.example/in"}, "changes to another server"),
        ({"url": "syslog+tcp://siem.example"}, "Syslog does not use a token"),
        ({"token": "line\nbreak"}, "not allowed in a header"),
        ({"format": "cef"}, "only ECS as JSON"),
        ({"url": "https://user:pw@siem.example/in"}, "or https://host/path"),
        ({"url": "http://siem.example/in"}, "or https://host/path"),
    ],
)
def test_a_change_that_would_leak_or_cannot_work_is_a_400(
    client: Client, change: dict[str, str], said: str
) -> None:
    sign_in(client, make_user())
    row = destinations.save(SiemDestination(name="a", url="https://siem.example/in"), token=TOKEN)
    url = f"/api/v1/siem-destinations/{row.pk}/"
    answer = client.patch(url, change, content_type="application/json")
    assert answer.status_code == 400
    assert said in json.dumps(answer.json()["errors"])
    assert client.patch(url, {"enabled": False}, content_type="application/json").status_code == 200
    assert SiemDestination.objects.get().token == TOKEN


def test_the_form_replaces_and_forgets_the_token(client: Client) -> None:
    sign_in(client, make_user())
    row = destinations.save(SiemDestination(name="a", url="https://siem.example/in"), token=TOKEN)
    url = f"/admin/security/siemdestination/{row.pk}/change/"
    form = {
        "name": "a",
        "url": "https://other.example/",
        "format": "ecs",
        "max_bytes": "8192",
        "enabled": "on",
    }
    assert "changes to another server" in client.post(url, form).content.decode()
    for extra, token in (({"new_token": "other"}, "other"), ({"forget_token": "on"}, "")):
        assert client.post(url, {**form, **extra}).status_code == 302
        assert (SiemDestination.objects.get().token or "") == token


def test_the_environment_sets_url_and_token_and_the_row_is_read_only(client: Client) -> None:
    assert destinations.synchronise("https://siem.example/in", "", TOKEN)
    assert not destinations.synchronise("https://siem.example/in", "", TOKEN)
    row = SiemDestination.objects.get()
    assert (row.token, row.managed) == (TOKEN, True)
    assert destinations.synchronise("syslog+tcp://siem.example", "", TOKEN)
    assert not SiemDestination.objects.get().token
    sign_in(client, make_user())
    page = client.get(f"/admin/security/siemdestination/{row.pk}/change/")
    assert page.status_code == 200
    assert "new_token" not in page.content.decode()
