"""CrowdSec's local API, as Debian ships it, on loopback: pushed, read, taken back."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from portal.core import polling
from portal.core.models import Upstream
from security import blocks, crowdsec, crowdsec_remote, subjects
from security.crowdsec_payloads import decisions, duration, is_local
from security.models import Block
from tests.debian_programs import program
from tests.factories import make_upstream
from tests.stack import answers, free_port, until

CONFIG = """
common: {{daemonize: false, log_media: stdout, log_level: error, working_dir: .}}
config_paths: {{config_dir: {0}/, data_dir: {0}/, simulation_path: {0}/simulation.yaml, hub_dir: {0}/hub/,
  index_path: {0}/hub/.index.json, notification_dir: {0}/, plugin_dir: {0}/}}
cscli: {{output: raw}}
db_config: {{type: sqlite, db_path: {0}/crowdsec.db, use_wal: true}}
api:
  client: {{credentials_path: {0}/credentials.yaml}}
  server: {{log_level: error, listen_uri: "127.0.0.1:{1}", profiles_path: {0}/profiles.yaml}}
prometheus: {{enabled: false}}
"""
PROFILES = """
name: default_ip_remediation
filters: ['Alert.Remediation == true && Alert.GetScope() == "Ip"']
decisions: [{type: ban, duration: 4h}]
on_success: break
"""


@dataclass
class Lapi:
    cscli: list[str]
    url: str
    password: str
    key: str

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [*self.cscli, *words], capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    def decisions(self) -> list[dict[str, Any]]:
        listed = json.loads(self.run("decisions", "list", "--all", "-o", "json") or "null") or []
        return [decision for alert in listed for decision in alert["decisions"]]


@contextmanager
def lapi_in(folder: Path) -> Iterator[Lapi]:
    server, _ = program("crowdsec", "crowdsec")
    cscli = str(server.with_name("cscli"))
    config, port = folder / "config.yaml", free_port()
    for name in ("simulation.yaml", "credentials.yaml", "hub/.index.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}\n" if name.endswith("json") else "")
    (folder / "profiles.yaml").write_text(PROFILES)
    config.write_text(CONFIG.format(folder, port))
    command, password = [cscli, "-c", str(config)], secrets.token_hex(16)
    environment = {**os.environ, "HOME": str(folder)}
    made = {"capture_output": True, "text": True, "timeout": 60, "check": True, "env": environment}
    for machine in ("portal", "admin"):
        file = str(folder / ("credentials.yaml" if machine == "admin" else "portal.yaml"))
        url = f"http://127.0.0.1:{port}"
        subprocess.run(
            [*command, "machines", "add", machine, "-p", password, "-f", file, "-u", url], **made
        )  # type: ignore[call-overload]
    key = subprocess.run(
        [*command, "bouncers", "add", "portal", "-o", "raw"], **made
    ).stdout.strip()  # type: ignore[call-overload]
    process = subprocess.Popen(
        [str(server), "-c", str(config), "-no-cs"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/health"), "CrowdSec did not start")
        yield Lapi(command, f"http://127.0.0.1:{port}", password, key)
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def lapi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lapi]:
    with lapi_in(tmp_path_factory.mktemp("crowdsec")) as started:
        yield started


def upstream_of(lapi: Lapi, **over: str) -> Upstream:
    credentials = {"machine": "portal", "password": lapi.password, "bouncer_key": lapi.key, **over}
    return make_upstream(
        kind=Upstream.Kind.CROWDSEC, url=lapi.url, live=False, credentials=credentials
    )


def block(value: str) -> Block:
    until_when = timezone.now() + timedelta(hours=2)
    return blocks.create(
        subjects.parse("network", value), expires_at=until_when, reason="scan", actor=None
    )


@pytest.mark.django_db(transaction=True)
def test_a_block_is_told_and_taken_back_and_others_stay(lapi: Lapi) -> None:
    upstream = upstream_of(lapi)
    lapi.run("decisions", "add", "--ip", "203.0.113.5", "--duration", "1h")
    made = [block(value) for value in ("203.0.113.5", "198.51.100.0/24", "10.1.2.3")]
    assert polling.run(upstream.pk, crowdsec.poll).error == ""
    ours = {d["value"]: d for d in lapi.decisions() if d["origin"] == "devops-portal"}
    assert set(ours) == {"203.0.113.5", "198.51.100.0/24"}
    assert ours["198.51.100.0/24"]["scope"] == "Range"
    for row in made:
        blocks.lift(row, actor=None)
    assert polling.run(upstream.pk, crowdsec.poll).error == ""
    left = [(d["value"], d["origin"]) for d in lapi.decisions()]
    assert left == [("203.0.113.5", "cscli")]
    lapi.run("decisions", "delete", "--all")


@pytest.mark.django_db(transaction=True)
def test_lifting_one_of_two_blocks_on_an_address_leaves_it_told(lapi: Lapi) -> None:
    upstream = upstream_of(lapi)
    by_hand = block("203.0.113.9")
    blocks.create(
        subjects.parse("network", "203.0.113.9"), expires_at=by_hand.expires_at, reason="scan",
        actor=None, origin="rule",
    )  # fmt: skip
    polling.run(upstream.pk, crowdsec.poll)
    blocks.lift(by_hand, actor=None)
    for _ in range(2):
        assert polling.run(upstream.pk, crowdsec.poll).error == ""
    assert [d["value"] for d in lapi.decisions()] == ["203.0.113.9"]
    lapi.run("decisions", "delete", "--all")


@pytest.mark.django_db(transaction=True)
def test_telling_ends_in_time_and_goes_on_at_the_next_poll(
    lapi: Lapi, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = upstream_of(lapi)
    block("203.0.113.10")
    monkeypatch.setattr(crowdsec, "PUSH_SECONDS", 0.0)
    assert polling.run(upstream.pk, crowdsec.poll).error == ""
    assert lapi.decisions() == []
    monkeypatch.undo()
    polling.run(upstream.pk, crowdsec.poll)
    assert [d["value"] for d in lapi.decisions()] == ["203.0.113.10"]
    lapi.run("decisions", "delete", "--all")


@pytest.mark.django_db(transaction=True)
def test_a_remote_decision_is_enforced_until_it_is_deleted(lapi: Lapi) -> None:
    upstream = upstream_of(lapi)
    lapi.run("decisions", "add", "--range", "192.0.2.0/25", "--duration", "1h")
    lapi.run("decisions", "add", "--ip", "192.0.2.200", "--duration", "1h", "--type", "captcha")
    assert polling.run(upstream.pk, crowdsec.poll).error == ""
    (found,) = Block.objects.all()
    assert (found.kind, found.value, found.origin, found.created_by) == (
        "network",
        "192.0.2.0/25",
        "crowdsec",
        "cscli",
    )
    assert Client().get("/admin/login/", REMOTE_ADDR="192.0.2.9").status_code == 403
    lapi.run("decisions", "delete", "--range", "192.0.2.0/25")
    assert polling.run(upstream.pk, crowdsec.poll).error == ""
    assert Client().get("/admin/login/", REMOTE_ADDR="192.0.2.9").status_code == 200
    lapi.run("decisions", "delete", "--all")


@pytest.mark.django_db
def test_what_was_lifted_here_stays_lifted_while_the_same_decision_is_repeated() -> None:
    def pushed(number: int) -> int:
        item = {"type": "ban", "scope": "Ip", "value": "192.0.2.9", "duration": "4h", "id": number}
        found, _bad = decisions([item])
        return crowdsec_remote.apply(found, [], startup=True, at=timezone.now())

    assert pushed(7) == 1
    blocks.lift(Block.objects.get(), actor=None, reason="ours")
    assert [pushed(7), pushed(7)] == [0, 0]
    assert pushed(8) == 1  # another decision


@pytest.mark.django_db
def test_what_the_portal_told_itself_comes_back_as_no_block() -> None:
    item = {"type": "ban", "scope": "Ip", "value": "192.0.2.9", "duration": "4h", "id": 7}
    found, _bad = decisions([{**item, "origin": "devops-portal"}])
    assert crowdsec_remote.apply(found, [], startup=True, at=timezone.now()) == 0
    assert not Block.objects.exists()


@pytest.mark.parametrize(
    "error, minutes, anew",
    [("", None, True), ("", 61, True), ("", 59, False), ("It was away.", 1, True)],
)
def test_the_whole_list_is_read_at_first_after_a_failure_and_each_hour(
    error: str, minutes: int | None, anew: bool
) -> None:
    now = timezone.now()
    started = (
        {} if minutes is None else {"started_at": (now - timedelta(minutes=minutes)).isoformat()}
    )
    assert crowdsec._needs_full_sync(Upstream(error=error, observed=started), at=now) is anew


@pytest.mark.django_db
def test_a_decision_that_comes_back_is_enforced_again() -> None:
    item = {"type": "ban", "scope": "Ip", "value": "192.0.2.9", "duration": "4h", "id": 7}
    found, _bad = decisions([item])
    now = timezone.now()
    changes = [
        crowdsec_remote.apply(listed, [], startup=True, at=now) for listed in (found, [], found)
    ]
    assert changes == [1, 1, 1]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("wrong", [{"bouncer_key": "no"}, {"password": "no"}])
def test_wrong_credentials_are_a_sentence(lapi: Lapi, wrong: dict[str, str]) -> None:
    block("203.0.113.77")
    assert (
        "rejected the credentials"
        in polling.run(upstream_of(lapi, **wrong).pk, crowdsec.poll).error
    )


@pytest.mark.django_db(transaction=True)
def test_while_it_is_away_what_was_known_goes_on() -> None:
    upstream = make_upstream(kind=Upstream.Kind.CROWDSEC, credentials={"bouncer_key": "x"})
    row = block("203.0.113.5")
    Block.objects.filter(pk=row.pk).update(origin="crowdsec")
    assert polling.run(upstream.pk, crowdsec.poll).error
    assert Client().get("/admin/login/", REMOTE_ADDR="203.0.113.5").status_code == 403


@pytest.mark.parametrize(
    "written, seconds",
    [
        ("3h59m58.5s", 14398.5),
        ("-5s", -5),
        ("24h0m0s", 86400),
        ("1.5ms", 0.0015),
        ("9" * 400 + "h", 3650 * 86400),
    ],
)
def test_durations_of_go_are_read(written: str, seconds: float) -> None:
    assert duration(written).total_seconds() == pytest.approx(seconds)


@pytest.mark.parametrize("written", ["", "1d", "h", "1h x", "--1s", "1h\x00"])
def test_what_is_no_duration_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        duration(written)


@pytest.mark.parametrize(
    "items, good, bad",
    [
        (None, 0, 0), ({}, 0, 0), ([None, 7, "x", [], {}], 0, 5),
        ([{"type": "ban", "scope": "Ip", "value": "garbage", "duration": "1h"}], 0, 1),
        ([{"type": "ban", "scope": "Ip", "value": "192.0.2.1", "duration": "1h", "id": 4, "surplus": {}}], 1, 0),
        ([{"type": "ban", "scope": "Country", "value": "DE", "duration": "1h"}], 0, 0),
    ],
)  # fmt: skip
def test_bad_decisions_are_counted_and_the_others_kept(items: Any, good: int, bad: int) -> None:
    found, wrong = decisions(items)
    assert (len(found), wrong) == (good, bad)


def test_what_is_private_is_not_told() -> None:
    assert is_local("10.0.0.0/30")
    assert is_local("::1")
    assert not is_local("203.0.113.0/24")
