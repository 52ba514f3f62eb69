"""`POST audit/entries/`: each entry once, the bad one named, nothing hostile breaks it."""

import json
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import ecs, ingest, logfile, services
from audit.ingest_models import IngestedUid
from audit.models import AuditEntry
from security import tokens
from security.audit_events import event_of
from security.siem import bodies
from tests.conftest import Trail
from tests.factories import make_user
from tests.payloads.recorded import FOLDER

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/v1/audit/entries/"
HOSTILE = (
    "\x00",
    "a\ud800b",
    "\x1b[31m",
    "x" * 100_000,
    "\u202e\ufeff",
    "=cmd|' /C calc'!A0",
    "\n\r\u2028",
    "é" * 999,
)


def client_of(name: str = "shop", scope: str = "audit:write") -> Client:
    written = tokens.create(user=make_user(), name=name, scopes=[scope])[1]
    headers = {"Authorization": f"Bearer {written}"}
    return Client(raise_request_exception=False, headers=headers)


def send(client: Client, body: Any) -> Any:
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    return client.post(URL, content, content_type="application/json")


def entry(**over: Any) -> dict[str, Any]:
    return {"uid": str(uuid.uuid4()), "action": "invoice.deleted", "actor_name": "anna", **over}


def ingested(trail: Trail) -> list[AuditEntry]:
    return [row for row in trail() if "ingested_by" in row.data]


def test_one_entry_is_kept_as_told_and_says_who_told_it(trail: Trail) -> None:
    told = entry(
        actor_type="user", source_ip="2001:DB8::1", target_type="invoice", target_id="7", http_status=204,
        occurred_at=(timezone.now() - timedelta(hours=3)).isoformat(),
        data={"password": "hunter2", "ingested_by": "me"},
    )  # fmt: skip
    assert send(client_of(), told).status_code == 201
    (row,) = ingested(trail)
    assert (str(row.uid), row.actor_name, row.source_ip) == (told["uid"], "anna", "2001:db8::1")
    assert row.data["ingested_by"]["application"] == "shop"
    assert row.data["recorded_after_seconds"] == pytest.approx(10800, abs=60)
    assert "hunter2" not in json.dumps(row.data)
    assert row.recorded_at - row.occurred_at > timedelta(hours=2)
    assert told["uid"] in logfile.path_for(row.recorded_at).read_text()


def test_what_is_told_passes_for_none_of_ours_however_long_it_is(trail: Trail) -> None:
    """A line of the file that is too long loses its data, which say who told it."""
    forged = {"action": "auth.login_succeeded", "code": "1003", "actor_name": "root"}
    long = {str(n): "\u4e00" * 1900 for n in range(8)}
    assert send(client_of(), [entry(**forged), entry(**forged, data=long)]).status_code == 201
    (row, _long) = ingested(trail)
    lines = logfile.path_for(row.recorded_at).read_text().splitlines()[-2:]
    documents = [json.loads(line) for line in lines]
    assert [line.get("portal.truncated", False) for line in documents] == [False, True]
    assert [line["event.provider"] for line in documents] == ["shop", "shop"]
    assert "sourceServiceName=shop" in bodies.cef(documents[1], version="1")
    assert "event.provider" not in ecs.document(services.record("auth.login_succeeded"))


def test_code_place_and_impersonator_are_kept_as_told(trail: Trail, settings: Any) -> None:
    settings.GEOIP_DATABASES = [str(FOLDER / "geoip" / "GeoLite2-Country-Test.mmdb")]
    told = entry(
        action="auth.login_failed", code="INV-1042", geo_country="CH", asn=64496, source_ip="81.2.69.142",
        impersonator_id="9", impersonator_name="berta",
    )  # fmt: skip
    assert send(client_of(), [told, entry(source_ip="81.2.69.142")]).status_code == 201
    own, looked_up = sorted(ingested(trail), key=lambda row: row.asn is None)
    assert (own.code, own.geo_country, own.asn) == ("INV-1042", "CH", 64496)
    assert (own.impersonator_id, own.impersonator_name) == ("9", "berta")
    assert (looked_up.code, looked_up.geo_country, looked_up.impersonator_name) == ("", "GB", "")
    line = logfile.path_for(own.recorded_at).read_text().splitlines()[-2]
    document = {"event.code": "INV-1042", "source.geo.country_iso_code": "CH", "source.as.number": 64496,
                "portal.impersonator.name": "berta"}  # fmt: skip
    assert json.loads(line) | document == json.loads(line)


def test_an_entry_that_has_no_place_is_taken_as_the_api_gives_it() -> None:
    bare = {"asn": None, "geo_country": "", "code": "", "impersonator_id": "", "source_ip": None}
    assert send(client_of(), entry(**bare)).status_code == 201


@pytest.mark.parametrize(
    ("over", "sentence"),
    [
        ({"code": "=1+1"}, "letters, digits"), ({"code": "x" * 33}, "32"), ({"geo_country": "de"}, "capital"),
        ({"geo_country": "Germany"}, "2"), ({"asn": 0}, "1"), ({"asn": 2**32}, "4294967295"),
        ({"asn": "AS1"}, "integer"),        ({"impersonator_name": "x" * 201}, "200"),
    ],
)  # fmt: skip
def test_a_wrong_code_place_or_impersonator_is_named(over: dict[str, Any], sentence: str) -> None:
    answer = send(client_of(), entry(**over))
    assert answer.status_code == 400
    assert sentence in str(answer.json()["errors"][next(iter(over))])


@pytest.mark.parametrize("seconds, said", [(3600, -3600), (200, None), (-200, None), (-400, 400)])
def test_a_clock_that_is_off_says_so_in_the_entry(
    seconds: int, said: int | None, trail: Trail
) -> None:
    moment = timezone.now() + timedelta(seconds=seconds)
    send(client_of(), entry(occurred_at=moment.isoformat()))
    (row,) = ingested(trail)
    found = row.data.get("recorded_after_seconds")
    assert found == (None if said is None else pytest.approx(said, abs=60))


def test_of_a_thousand_with_one_bad_the_others_are_kept_and_it_is_named(trail: Trail) -> None:
    batch = [entry() for _ in range(1000)]
    batch[417]["action"] = "Not An Action"
    answer = send(client_of(), batch)
    said = answer.json()
    assert answer.status_code == 207
    assert (said["created"], said["duplicate"], said["refused"]) == (999, 0, 1)
    assert said["results"][417] | {"errors": None} == {
        "index": 417, "uid": batch[417]["uid"], "status": "refused", "errors": None,
    }  # fmt: skip
    assert "object.verb_past" in said["results"][417]["errors"]["action"][0]
    rows = ingested(trail)
    assert len(rows) == 999
    written = logfile.path_for(rows[0].recorded_at).read_text()
    missing = [item["uid"] for item in batch if item["uid"] not in written]
    assert missing == [batch[417]["uid"]]


@pytest.mark.parametrize("count", [1, 1000])
def test_a_batch_takes_the_same_statements_and_one_opening_of_the_file(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, opened, real = client_of(), [], os.open

    def counted(path: Any, *args: Any) -> int:
        opened.append(str(path))
        return real(path, *args)

    send(client, entry())  # the first use of a token notes its client
    monkeypatch.setattr("audit.logfile.os.open", counted)
    with CaptureQueriesContext(connection) as seen:
        assert send(client, [entry() for _ in range(count)]).status_code == 201
    words = [query["sql"].split()[0] for query in seen.captured_queries]
    assert words == ["SELECT", "BEGIN", "INSERT", "COPY", "COMMIT"]
    assert len([path for path in opened if path.endswith(".jsonl")]) == 1


def test_what_needs_quoting_arrives_as_it_was_told(trail: Trail) -> None:
    odd = ['a "quoted" b', "back\\slash", "{brace,comma}", "NULL", "tab\tin", "Grüße"]
    told = entry(actor_roles=odd, reason="a\\N\nb", data={"a\\": ["\t", None, {"n": 1.5}]})
    assert send(client_of(), told).status_code == 201
    (row,) = ingested(trail)
    assert row.actor_roles == [role.replace("\t", " ") for role in odd]
    assert (row.reason, row.data["a\\"]) == ("a\\N\nb", ["\t", None, {"n": 1.5}])
    assert (row.category, row.targets, row.http_status) == (["database"], [], None)


def test_sent_again_nothing_is_written_twice(trail: Trail) -> None:
    client, batch = client_of(), [entry(), entry()]
    assert send(client, [*batch, batch[0]]).json()["duplicate"] == 1
    again = send(client, [*batch, entry()])
    assert [r["status"] for r in again.json()["results"]] == ["duplicate", "duplicate", "created"]
    assert send(client, batch[0]).status_code == 200
    assert send(client_of("another"), batch[0]).status_code == 201
    assert len(ingested(trail)) == 4


def test_two_senders_of_the_same_batch_write_it_once(trail: Trail) -> None:
    client, batch = client_of(), [entry() for _ in range(200)]

    def one(turn: int) -> int:
        try:
            return int(send(client, batch[:: 1 if turn % 2 else -1]).json()["created"])
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(one, range(4))) == 200
    assert len(ingested(trail)) == 200


@pytest.mark.parametrize(
    "over",
    [
        {"uid": 7.5}, {"uid": "x" * 5000}, {"occurred_at": "0001-01-01T00:00:00+23:59"}, {"action": ["a.b"]},
        {"occurred_at": "9999-12-31T23:59:59Z"}, {"severity": 1e300}, {"severity": float("nan")}, {"data": "text"},
        {"source_ip": "fe80::1%eth0"}, {"source_ip": "1.2.3.4\x00"}, {"http_status": -1}, {"actor_roles": {"a": 1}},
        {"outcome": "\ud800"}, {"actor_type": "\x00"}, {"trace_id": "z" * 32}, {"reason": "a\x00b"}, {"changes": [1]},
    ],
    ids=str,
)  # fmt: skip
def test_a_bad_item_is_refused_alone(over: dict[str, Any], trail: Trail) -> None:
    answer = send(client_of(), [entry(), entry(**over), entry()])
    said = answer.json()
    assert [r["status"] for r in said["results"]] == ["created", "refused", "created"]
    assert send(client_of(), entry(**over)).status_code == 400
    assert len(ingested(trail)) == 2


def test_an_item_of_a_list_is_named_by_its_place() -> None:
    wrong = entry(actor_roles=["fine", "x" * 151, "also fine", "\x00"])
    (result,) = send(client_of(), [wrong]).json()["results"]
    long, null = result["errors"]["actor_roles"]
    assert long.startswith("1: Ensure this field has no more than 150")
    assert null == "3: Null characters are not allowed."


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_text_is_kept_sanitised_or_refused_and_never_fails(text: str) -> None:
    fields = ("actor_name", "reason", "user_agent", "url_path", "target_name")
    item = dict.fromkeys(fields, text) | {"data": {text: text, "deep": [[[text]]]}}
    assert send(client_of(), [entry(**item)]).status_code in (201, 207)


@pytest.mark.parametrize("body", ["", "{", "[" * 5000, "7", '"x"', "null", b"\xff", "[7, null]"])
def test_a_body_that_is_no_entry_is_a_problem_or_refused(body: Any) -> None:
    answer = send(client_of(), body)
    assert answer.status_code in (207, 400)


def test_too_many_are_refused_as_a_whole_and_none_is_fine(trail: Trail) -> None:
    assert send(client_of(), [entry() for _ in range(1001)]).status_code == 400
    assert send(client_of(), []).json()["created"] == 0
    assert ingested(trail) == []


def test_reading_scopes_may_not_write(trail: Trail) -> None:
    assert send(client_of(scope="audit:read"), entry()).status_code == 403
    assert ingested(trail) == []


def test_the_rules_do_not_take_another_applications_accounts_for_ours(trail: Trail) -> None:
    failed = entry(
        action="auth.login_failed", outcome="failure", target_type="auth.user", target_id="1"
    )
    send(client_of(), failed)
    (row,) = ingested(trail)
    assert event_of(row) is None


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("shop", {"service": "shop"}),
        ("".join(map(chr, range(0x4E00, 0x4E00 + 1900))), {"service": "".join(map(chr, range(0x4E00, 0x4E00 + 100)))}),
        ({"name": "shop"}, {"service_told": {"name": "shop"}}),
        ([str(n) * 9 for n in range(600)], None),
        (7, {"service_told": 7}),
    ],
    ids=["slug", "long", "object", "list", "number"],
)  # fmt: skip
def test_whatever_is_told_as_service_is_no_index_too_large(
    told: Any, kept: dict[str, Any] | None, trail: Trail
) -> None:
    assert send(client_of(), [entry(data={"service": told}), entry()]).status_code == 201
    first = ingested(trail)[0].data
    assert kept is None or {key: first.get(key) for key in kept} == kept
    assert isinstance(first.get("service", ""), str)


def test_uids_are_forgotten_after_a_week() -> None:
    client, told = client_of(), entry()
    send(client, told)
    assert ingest.forget(at=timezone.now() + timedelta(days=6)) == 0
    assert ingest.forget(at=timezone.now() + timedelta(days=8)) == IngestedUid.objects.count() + 1
