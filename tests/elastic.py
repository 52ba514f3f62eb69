"""An Elasticsearch made of a list of documents, for the part of its contract that the portal uses."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from monitoring.logs.replies import flat
from tests.serving import serving

FOLDER = Path(__file__).parent / "payloads" / "elasticsearch"
BOOL, TWIN = ("filter", "must_not", "should"), ".keyword"  # every text has its twin, as by default


def reply(name: str) -> Any:
    """Return a decoded reply of tests/payloads/elasticsearch/."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def wire_line(at: datetime, message: str = "hello", **fields: Any) -> dict[str, Any]:
    moment = at.astimezone(UTC).isoformat(timespec="milliseconds")
    base = {"@timestamp": moment, "log.level": "info", "service.name": "shop", "host.name": "web-1"}
    return {**base, "message": message, **fields}


def _words(document: dict[str, Any], fields: list[str]) -> str:
    known = dict(flat(document))
    return " ".join(known.get(name, "") for name in fields).lower()


class FakeElasticsearch:
    """Its moods are attributes: `refuse` answers (status, reply) to searches, `body` raw bytes to all."""

    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []
        self.root: Any = reply("root-elasticsearch")
        self.health: Any = reply("health-green")
        self.refuse: tuple[int, Any] | None = None
        self.body: bytes | None = None
        self.hangs = False
        self.shards = 2  # of each, one line has the same number
        self.content_type = "application/json"
        self.patch: dict[str, Any] = {}
        self.searches: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.authorisation = ""
        self.url = ""

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        self.paths.append(path)
        if self.body is not None:
            return 200, self.body
        if path == "/":
            return 200, json.dumps(self.root).encode()
        if path == "/_cluster/health":
            return 200, json.dumps(self.health).encode()
        if self.refuse is not None:
            return self.refuse[0], json.dumps(self.refuse[1]).encode()
        asked = json.loads(body)
        self.searches.append(asked)
        status, answer = self._search(asked)
        return status, json.dumps(answer).encode()

    def _search(self, asked: dict[str, Any]) -> tuple[int, Any]:
        clauses = asked.get("query", {}).get("bool", {})
        wanted = [*clauses.get("filter", []), *clauses.get("must", [])]
        if any(self._is_malformed(clause) for clause in wanted):
            return 400, reply("refused-query")
        hits = [
            hit
            for hit in self._hits()
            if all(_matches(clause, hit) for clause in wanted)
            and not any(_matches(clause, hit) for clause in clauses.get("must_not", []))
        ]
        total, buckets = len(hits), _buckets(asked, hits)
        order = asked.get("sort", [{"@timestamp": {"order": "desc"}}])[0]["@timestamp"]["order"]
        sign = -1 if order == "desc" else 1
        hits.sort(key=lambda hit: [sign * value for value in hit["sort"]])
        if "search_after" in asked:
            after = [sign * value for value in asked["search_after"]]
            hits = [hit for hit in hits if [sign * value for value in hit["sort"]] > after]
        answer = {
            "took": 3,
            "timed_out": False,
            "_shards": {"total": 2, "successful": 2, "skipped": 0, "failed": 0},
            "hits": {
                "total": {"value": total, "relation": "eq"},
                "hits": hits[: asked["size"]],
            },
            **({"aggregations": {"over_time": {"buckets": buckets}}} if "aggs" in asked else {}),
        }
        return 200, {**answer, **self.patch}

    @staticmethod
    def _is_malformed(clause: dict[str, Any]) -> bool:
        written = clause.get("query_string", {}).get("query", "")
        return bool(written.count("(") != written.count(")"))

    def _hits(self) -> Iterator[dict[str, Any]]:
        for number, document in enumerate(self.documents):
            at = datetime.fromisoformat(document["@timestamp"])
            moment = round(at.timestamp() * 1000)
            yield {
                "_index": "logs-fake",
                "_id": f"id-{number}",
                "_source": document,
                "sort": [moment, number // self.shards],
            }


def _matches(clause: dict[str, Any], hit: dict[str, Any]) -> bool:
    (kind, details), *_ = clause.items()
    document = hit["_source"]
    if kind == "bool":
        parts = [(_matches(each, hit) for each in details.get(name, [])) for name in BOOL]
        return all(parts[0]) and not any(parts[1]) and (any(parts[2]) or "should" not in details)
    if kind == "range":
        since, until = (
            datetime.fromisoformat(details["@timestamp"][bound]).timestamp() * 1000 for bound in ("gte", "lt")
        )  # fmt: skip
        return bool(since <= hit["sort"][0] < until)
    if kind == "ids":
        return hit["_id"] in details["values"]
    if kind == "exists":
        return details["field"].removesuffix(TWIN) in dict(flat(document))
    if kind == "match":
        (field, words), *_ = details.items()
        return all(
            word in _words(document, [field]).split("-") for word in words["query"].split("-")
        )
    if kind == "multi_match":
        known = dict(flat(document))
        return any(
            known.get(name.removesuffix(TWIN)) == details["query"] for name in details["fields"]
        )
    text = _words(document, details["fields"])
    words = [word.strip('"') for word in details["query"].lower().split()]
    if kind == "simple_query_string":
        return bool(set(words) & set(text.split()))
    return all(word in text for word in words if word != "and")


def _buckets(asked: dict[str, Any], hits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if "aggs" not in asked:
        return []
    over_time = asked["aggs"]["over_time"]
    step = int(over_time["date_histogram"]["fixed_interval"].removesuffix("s")) * 1000
    found: dict[int, dict[str, Any]] = {}
    for hit in hits:
        key = hit["sort"][0] // step * step
        bucket = found.setdefault(key, {"key": key, "doc_count": 0, "bad": {"doc_count": 0}})
        bucket["doc_count"] += 1
        bucket["bad"]["doc_count"] += _matches(over_time["aggs"]["bad"]["filter"], hit)
    return [found[key] for key in sorted(found)]


@contextmanager
def fake_elasticsearch() -> Iterator[FakeElasticsearch]:
    fake, closing = FakeElasticsearch(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65536  # headers and body in one segment

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fake.authorisation = self.headers.get("Authorization", "")
            code, answer = fake.answer(self.path.partition("?")[0], body)
            if fake.hangs:
                closing.wait(20)
                return
            self.send_response(code)
            self.send_header("Content-Type", fake.content_type)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = _do

        def log_message(self, *_args: Any) -> None:
            pass

    with serving(Handler) as port:
        fake.url = f"http://127.0.0.1:{port}"
        try:
            yield fake
        finally:
            closing.set()
