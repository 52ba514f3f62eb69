"""A Sentry made of a list of issues, served page by page: with limits, moods and dialects."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.fakes import stamp
from tests.serving import serving

TOKEN = "sntrys_for_tests"
BASE = datetime(2026, 1, 1, tzinfo=UTC)


def wire_issue(number: int = 1, **over: Any) -> dict[str, Any]:
    """Return one issue as Sentry lists it; the lower the number, the later its last event."""
    now = datetime.now(UTC)
    last = now - timedelta(seconds=30 * number)
    project = over.pop("project", "shop")
    return {
        "id": str(number),
        "shortId": f"{project.upper()}-{number:X}",
        "title": f"TypeError: bad thing {number}",
        "culprit": "shop.views in checkout",
        "permalink": f"https://sentry.example/organizations/acme/issues/{number}/",
        "logger": None,
        "level": "error",
        "status": "unresolved",
        "statusDetails": {},
        "substatus": "ongoing",
        "platform": "python",
        "project": {"id": "1", "name": project, "slug": project, "platform": "python"},
        "type": "error",
        "metadata": {"type": "TypeError", "value": f"bad thing {number}", "filename": "views.py"},
        "numComments": 0,
        "assignedTo": None,
        "count": str(10 + number % 90),
        "userCount": number % 7,
        "firstSeen": stamp(last - timedelta(days=3)),
        "lastSeen": stamp(last),
        "stats": {"24h": []},
        **over,
    }


class FakeSentry:
    """Its moods are attributes: `refuse` answers that status to all, `dialect` is sentry or glitchtip."""

    def __init__(self) -> None:
        self.issues: dict[str, dict[str, Any]] = {}
        self.dialect = "sentry"
        self.organization = "acme"
        self.page_size = 100
        self.refuse: int | None = None
        self.refuse_after: int | None = None
        self.refusal_headers: dict[str, str] = {}
        self.extra_headers: dict[str, str] = {}
        self.body: bytes | None = None
        self.event: bytes | None = None  # the latest of every issue
        self.short_paths = True  # without those of the organisation to read one issue, as GlitchTip
        self.silent = False  # takes a change and answers 204
        self.link_host = ""
        self.empty_pages = 0
        self.fails_without_status = False  # as GlitchTip of December 2025 does
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        self.url = ""
        self._pages: dict[str, bytes] | None = None

    def add(self, *issues: dict[str, Any]) -> None:
        for issue in issues:
            self.issues[issue["id"]] = issue

    def set(self, number: int, **fields: Any) -> None:
        self.issues[str(number)] = {**self.issues[str(number)], **fields}

    def keep_pages(self) -> None:
        """Encode each page once and for all, so that a benchmark measures its client."""
        ordered = self._ordered()
        size = self.page_size
        self._pages = {
            f"{offset}:{size}": json.dumps(ordered[offset : offset + size]).encode()
            for offset in range(0, len(ordered), size)
        }

    def answer(
        self, method: str, target: str, token: str, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        self.requests.append((method, target))
        parts = urlsplit(target)
        if self.refuse_after is not None and len(self.requests) > self.refuse_after:
            return self.refuse or 429, self.refusal_headers, b'"Too many requests"'
        if self.refuse is not None and self.refuse_after is None:
            return self.refuse, self.refusal_headers, b'{"detail": "refused on purpose"}'
        if token != f"Bearer {TOKEN}":
            return 401, {}, b'{"detail": "Unauthorized"}'
        if self.body is not None:
            return 200, {}, self.body
        return self._route(method, parts.path.rstrip("/"), parse_qs(parts.query), body)

    def _route(
        self, method: str, path: str, query: dict[str, list[str]], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        words = path.removeprefix("/api/0/").split("/")
        if method == "GET" and not self.short_paths:
            long = words[:3] == ["organizations", self.organization, "issues"] and len(words) > 3
            words = words[2:] if long else ["nothing"] if words[0] == "issues" else words
        if words[:3] == ["organizations", self.organization, "issues"]:
            if len(words) == 3:
                return self._list(query)
            if method == "PUT":
                return self._put(words[3], json.loads(body))
            return 405, {}, b"{}"
        if words[:3] == ["organizations", self.organization, "issues-stats"]:
            stats = [
                {"id": query["groups"][0], "stats": {query["statsPeriod"][0]: [[1795410000, 3]]}}
            ]
            return 200, {}, json.dumps(stats).encode()
        if words[0] == "issues" and len(words) == 2 and words[1] in self.issues:
            return 200, {}, json.dumps(self.issues[words[1]]).encode()
        if self.event is not None and words[2:] == ["events", "latest"]:
            return 200, {}, self.event
        return 404, {}, b'{"detail": "The requested resource does not exist"}'

    def _list(self, query: dict[str, list[str]]) -> tuple[int, dict[str, str], bytes]:
        if self.dialect == "glitchtip" and query.get("sort", [""])[0] == "date":
            return 422, {}, b'{"detail": [{"msg": "unexpected value"}]}'
        cursor = query.get("cursor", [""])[0]
        offset = int(base64.b64decode(cursor)) if cursor else 0
        size = min(int(query.get("limit", ["100"])[0]), self.page_size)
        body = (self._pages or {}).get(f"{offset}:{size}")
        if body is None:
            body = json.dumps(self._page(offset, size)).encode()
        following = offset + size if offset + size < len(self.issues) else None
        return 200, {"Link": self._link(query, following), **self.extra_headers}, body

    def _page(self, offset: int, size: int) -> list[dict[str, Any]]:
        if self.empty_pages and offset < self.empty_pages * size:
            return []
        return self._ordered()[offset : offset + size]

    def _ordered(self) -> list[dict[str, Any]]:
        return sorted(self.issues.values(), key=lambda issue: issue["lastSeen"], reverse=True)

    def _link(self, query: dict[str, list[str]], following: int | None) -> str:
        """Write both directions, GlitchTip's as the text of a Python set."""
        cursor = base64.b64encode(str(following or 0).encode()).decode()
        kept = {name: values[0] for name, values in query.items() if name != "cursor"}
        path = f"{self.link_host or self.url}/api/0/organizations/{self.organization}/issues/"
        more = following is not None
        following_url = f"{path}?{urlencode({'cursor': cursor, **kept})}"
        known = f'; cursor="{cursor}"' if more or self.dialect == "sentry" else ""
        link = (
            f'<{path}?limit=100>; rel="previous"; results="false"; cursor="0:0:1", '
            f'<{following_url}>; rel="next"; results="{str(more).lower()}"{known}'
        )
        return f"{{'{link}'}}" if self.dialect == "glitchtip" else link

    def _put(self, number: str, body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        if number not in self.issues:
            return 404, {}, b'{"detail": "The requested resource does not exist"}'
        self.bodies.append(body)
        if self.fails_without_status and "status" not in body:
            return 500, {}, b"Internal Server Error"
        issue = self.issues[number]
        if "status" in body:
            issue["status"] = body["status"]
            issue["substatus"] = None
        if "assignedTo" in body and self.dialect == "sentry":
            name = body["assignedTo"]
            issue["assignedTo"] = (
                {"type": "user", "id": "7", "name": name, "email": name} if name else None
            )
        if self.silent:
            return 204, {}, b""
        if self.dialect == "sentry":
            return 200, {}, json.dumps(issue).encode()
        snake = {k: v for k, v in issue.items() if k not in ("assignedTo", "statusDetails")}
        return 200, {}, json.dumps({**snake, "status_details": {}, "user_count": 0}).encode()


@contextmanager
def fake_sentry() -> Iterator[FakeSentry]:
    fake = FakeSentry()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65536

        def do_GET(self) -> None:
            self._do()

        def do_PUT(self) -> None:
            self._do()

        def _do(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers.get("Authorization", "")
            code, headers, body = fake.answer(self.command, self.path, token, sent)
            self.send_response(code)
            html = body.startswith(b"<")
            self.send_header("Content-Type", "text/html" if html else "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            pass

    with serving(Handler) as port:
        fake.url = f"http://127.0.0.1:{port}"
        yield fake
