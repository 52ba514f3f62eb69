"""From the trail to a flag: through the real sign-in page, the stream, and several workers."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import DataError, connection
from django.test import Client
from django.utils import timezone

from alerts.models import Alert
from audit import services as audit
from audit.models import AuditEntry
from audit.services import Target
from portal.core import request_context
from portal.core.request_context import ANONYMOUS, Context
from security import detection, flags, replay, rule_settings
from security.audit_events import event_of
from security.detection import Report
from security.models import Block, DetectorCursor, Flag, RuleSetting
from security.rules.finding import Finding
from security.tasks import detect_threats
from tests import streams
from tests.audit.builders import make_entries
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def detect() -> Report:
    """Let the rules read everything that is committed by now."""
    streams.settled()
    return detection.run()


@pytest.fixture(autouse=True)
def begin_here() -> None:
    """Set the cursor to this moment: the trail keeps what earlier tests wrote."""
    DetectorCursor.objects.all().delete()
    detection._followers.clear()
    detect()


_numbers = itertools.count(1)
_here = {"address": ""}


@pytest.fixture(autouse=True)
def address(begin_here: None) -> str:
    """Return an address that no other test has used: the rules remember for hours."""
    _here["address"] = f"198.51.100.{next(_numbers)}"
    return _here["address"]


def fail(count: int, *, address: str = "", name: str = "") -> None:
    for number in range(count):
        at = address or _here["address"]
        with request_context.use(Context(source_ip=at, actor=ANONYMOUS, url_path="/admin/login/")):
            data = {"name_fingerprint": name or f"{number:016x}"}
            audit.record("auth.login_failed", target=Target("auth.user"), outcome="failure",
                         reason="unknown_user", data=data)  # fmt: skip


def test_guessing_at_the_sign_in_page_opens_a_flag(client: Client) -> None:
    make_user(username="ada")
    for number in range(6):
        form = {"username": "ada", "password": f"guess {number}"}
        client.post("/admin/login/", form, REMOTE_ADDR="192.0.2.8")
    streams.settled()
    detect_threats()
    flag = Flag.objects.get(rule="brute_force_address")
    assert (flag.subject, flag.status) == ("192.0.2.8", "open")
    assert flag.counts["failures"] == 8  # five, and a refusal by the rate limit
    assert [fact["action"] for fact in flag.evidence].count("auth.login_failed") == 5
    assert all(fact["address"] == "192.0.2.8" for fact in flag.evidence)


def test_a_success_after_the_attack_is_a_critical_alert(client: Client) -> None:
    user = make_user(username="ada")
    fail(8, address="192.0.2.9")
    with request_context.use(Context(source_ip="192.0.2.9", actor=ANONYMOUS)):
        audit.record("auth.login_succeeded", target=user)
    detect()
    flag = Flag.objects.get(rule="success_after_attack")
    assert (flag.subject, flag.subject_name, flag.severity) == (str(user.pk), "ada", "critical")
    alert = Alert.objects.get(alertname="PortalThreatSuccessAfterAttack")
    assert (alert.severity, alert.labels["account"]) == ("critical", "ada")


def test_new_evidence_extends_the_open_flag_and_opens_no_second() -> None:
    fail(8)
    detect()
    before = Flag.objects.get(rule="brute_force_address")
    fail(4)
    detect()
    after = Flag.objects.get(rule="brute_force_address")
    assert after.pk == before.pk
    assert len(after.evidence) == 12
    assert after.counts["failures"] == 12
    assert after.last_at > before.last_at


def test_a_worker_that_takes_over_remembers_what_came_before() -> None:
    fail(5)
    detect()
    detection._followers.clear()  # another process, or a restart
    fail(3)
    detect()
    assert Flag.objects.get(rule="brute_force_address").counts["failures"] == 8


def test_two_workers_flag_once() -> None:
    fail(40)
    streams.settled()

    def work() -> None:
        try:
            detection.run()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        [future.result() for future in [pool.submit(work) for _ in range(2)]]
    detect()
    assert Flag.objects.filter(rule="brute_force_address").count() == 1


def test_a_crash_between_flag_and_cursor_loses_and_doubles_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fail(8)
    with monkeypatch.context() as broken:
        broken.setattr(DetectorCursor, "save", lambda *_a, **_k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            detect()
    assert not Flag.objects.exists()
    detect()
    assert Flag.objects.get(rule="brute_force_address").counts["failures"] == 8


def test_a_finding_that_cannot_be_stored_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = flags.open_or_extend

    def store(finding: Finding) -> Flag:
        if finding.rule == "brute_force_address":
            raise DataError("too long")
        return real(finding)

    monkeypatch.setattr(flags, "open_or_extend", store)
    fail(40)
    detect()
    assert detection.lag_seconds() == 0
    assert {flag.rule for flag in Flag.objects.all()} == {"credential_stuffing"}


def test_many_entries_are_read_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "BATCH", 3)
    fail(10)
    assert detect().entries == 10
    assert Flag.objects.filter(rule="brute_force_address").count() == 1
    assert detection.lag_seconds() == 0


def test_what_is_not_read_yet_is_the_lag() -> None:
    fail(1)
    assert 0 < detection.lag_seconds() < 60


def test_a_changed_threshold_counts_from_the_next_run() -> None:
    fail(3)
    detect()
    setting = RuleSetting.objects.get(rule="brute_force_address")
    setting.thresholds = {"burst": 4}
    rule_settings.change(setting, actor=make_user(), thresholds=setting.thresholds)
    fail(1)
    detect()
    assert Flag.objects.get(rule="brute_force_address").counts["failures"] == 4


def test_a_rule_may_block_by_itself(address: str) -> None:
    RuleSetting.objects.filter(rule="brute_force_address").update(block_minutes=10)
    fail(8)
    detect()
    block = Block.objects.get()
    assert (block.kind, block.value, block.origin) == ("address", address, "rule")
    assert block.flag == Flag.objects.get(rule="brute_force_address")
    assert timedelta(minutes=9) < block.expires_at - timezone.now() <= timedelta(minutes=10)


def test_a_replay_finds_and_writes_nothing(address: str) -> None:
    since = timezone.now()
    fail(6)
    until = timezone.now() + timedelta(seconds=1)
    done = replay.replay(since=since, until=until, rules=["brute_force_address"])
    assert (done.events, done.findings) == (6, ())
    strict = {"brute_force_address": {"burst": 5}}
    (finding,) = replay.replay(
        since=since, until=until, rules=[*strict], thresholds=strict
    ).findings
    assert (finding.subject, finding.counts["failures"]) == (address, 6)
    assert not Flag.objects.exists()


def test_a_database_restored_into_another_cluster_begins_at_this_moment() -> None:
    DetectorCursor.objects.update(cluster="another", txid=2**50)
    fail(8)
    detect()
    fail(8)
    detect()
    assert Flag.objects.get(rule="brute_force_address").counts["failures"] >= 8


def test_a_clock_that_was_ahead_for_a_while_does_not_blind_the_rules() -> None:
    make_entries(5, until=timezone.now() + timedelta(days=2), days=1)
    detect()
    fail(8)
    detect()
    assert Flag.objects.filter(rule="brute_force_address").exists()


@pytest.mark.parametrize("reason, counts", [("first_step_failed", False), ("wrong_code", True)])
def test_behind_a_failed_password_no_code_was_guessed(reason: str, counts: bool) -> None:
    entry = AuditEntry(action="mfa.failed", reason=reason, recorded_at=timezone.now(), data={})
    assert (event_of(entry) is not None) is counts


def test_the_password_is_not_in_the_evidence(client: Client) -> None:
    for number in range(6):
        form = {"username": f"{PASSWORD} {number}", "password": PASSWORD}
        client.post("/admin/login/", form)
    detect()
    assert PASSWORD not in str(list(Flag.objects.values()))
