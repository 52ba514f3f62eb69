"""Checks as they run: claimed once, written together, flipping, raising alerts, delaying nobody."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alerts.models import Alert
from monitoring.checks import results, runner, services
from monitoring.checks.flips import ProbeResult
from monitoring.checks.results import Outcome
from monitoring.models import Check, CheckHour, ServiceStatus, StatusChange
from tests.core.hostile import reply, serving
from tests.factories import make_check, make_service

pytestmark = pytest.mark.django_db


@pytest.fixture
def healthy() -> Iterator[str]:
    with serving(reply(b"ok", "200 OK", "Connection: close")) as url:
        yield url


def due(**over: object) -> Check:
    facts = {"last_run_at": None, "status": "unknown", "next_run_at": timezone.now()}
    return make_check(**{**facts, **over})


def answer(check: Check, *statuses: str, seconds: float = 0.0) -> Check:
    """Write answers as the runner would, and return the check as it is then."""
    for status in statuses:
        at = timezone.now() + timedelta(seconds=seconds)
        fresh = Check.objects.select_related("service").get(pk=check.pk)
        results.write([Outcome(fresh, ProbeResult(status, f"It is {status}.", 0.2))], at=at)
    return Check.objects.get(pk=check.pk)


def test_a_due_check_is_asked_and_keeps_to_its_grid(healthy: str) -> None:
    check = due(target=healthy, interval_seconds=30)
    assert runner.run_round(seconds=2) == 1
    after = Check.objects.get(pk=check.pk)
    assert (after.status, after.lease_until) == ("up", None)
    assert after.next_run_at == check.next_run_at + timedelta(seconds=30)
    assert CheckHour.objects.get(check_row=check).runs == 1


def test_a_check_that_is_long_due_stays_on_its_grid() -> None:
    then = timezone.now() - timedelta(seconds=95)
    check = due(next_run_at=then, interval_seconds=30)
    (claimed,) = runner.claim_due(at=timezone.now(), limit=10)
    assert claimed.pk == check.pk
    assert claimed.next_run_at == then + timedelta(seconds=120)


def test_a_check_that_ran_in_the_future_is_asked_when_the_clock_was_set_back() -> None:
    now, hour = timezone.now(), timedelta(hours=1)
    check = due(last_run_at=now + hour, next_run_at=now + hour, interval_seconds=30)
    due(next_run_at=now + hour)
    (claimed,) = runner.claim_due(at=now, limit=10)
    assert (claimed.pk, claimed.next_run_at) == (check.pk, now + timedelta(seconds=30))
    assert runner.claim_due(at=now, limit=10) == []


def test_three_failures_flip_raise_an_alert_and_change_the_service() -> None:
    service = make_service(runbook_url="https://runbooks.example/shop")
    check = answer(make_check(severity="page", service=service), "down", "down")
    assert (check.status, Alert.objects.count()) == ("up", 0)
    check = answer(check, "down")
    alert = Alert.objects.get()
    assert (alert.alertname, alert.severity, alert.state) == ("CheckFailing", "page", "firing")
    assert (alert.service, alert.annotations["description"]) == (check.service, "It is down.")
    assert alert.annotations["runbook_url"] == service.runbook_url
    status = ServiceStatus.objects.get(service=check.service)
    assert (status.status, check.name in status.reason) == ("down", True)


def test_recovery_ends_the_alert_and_unknown_does_not() -> None:
    check = answer(make_check(), "down", "down", "down")
    answer(check, "unknown", "unknown", "unknown")
    assert Alert.objects.get().state == "firing"
    answer(check, "up")
    assert Alert.objects.get().state == "resolved"
    changes = StatusChange.objects.filter(check_row=check).order_by("id")
    assert [c.new_status for c in changes] == ["down", "unknown", "up"]
    # What could not be asked is no answer.
    assert [(hour.runs, hour.failures) for hour in CheckHour.objects.all()] == [(4, 3)]


def test_answers_that_change_nothing_cost_a_fixed_number_of_statements() -> None:
    service = make_service()
    checks = [make_check(service=service, name=f"c{n}") for n in range(60)]
    answer(checks[0], "up")

    def statements(count: int) -> int:
        outcomes = [Outcome(check, ProbeResult("up", "", 0.1)) for check in checks[:count]]
        with CaptureQueriesContext(connection) as captured:
            results.write(outcomes, at=timezone.now())
        return len(captured)

    assert statements(2) == statements(60) <= 6
    assert StatusChange.objects.count() == 0


def test_hours_are_kept_for_four_hundred_days() -> None:
    check, now = make_check(), timezone.now()
    for days in (0, 399, 401):
        CheckHour.objects.create(
            check_row=check, hour=now - timedelta(days=days), runs=1, failures=0, latency_sum=1, latency_max=1
        )  # fmt: skip
    assert services.forget_old_hours(at=now) == 1
    assert CheckHour.objects.count() == 2


def test_a_check_that_was_deleted_meanwhile_harms_nobody() -> None:
    gone, kept = make_check(), make_check()
    outcomes = [Outcome(gone, ProbeResult("up")), Outcome(kept, ProbeResult("up", "", 0.1))]
    Check.objects.filter(pk=gone.pk).delete()
    results.write(outcomes, at=timezone.now())
    assert CheckHour.objects.get().check_row == kept


def test_an_answer_that_came_after_the_lease_was_lost_is_not_written() -> None:
    """Another runner has flipped the check meanwhile: what was down by the older memory is down already."""
    due(failures_to_flip=1, status="up", last_run_at=timezone.now())
    (claimed,) = runner.claim_due(at=timezone.now(), limit=1)
    Check.objects.update(next_run_at=timezone.now(), lease_until=None)
    (again,) = runner.claim_due(at=timezone.now(), limit=1)
    for check in (again, claimed):
        results.write([Outcome(check, ProbeResult("down", "It is down."))], at=timezone.now())
    assert StatusChange.objects.filter(check_row=claimed).count() == 1
    assert CheckHour.objects.get().runs == 1


def test_deleting_a_check_locks_as_the_runner_does_first_the_check_then_its_alert() -> None:
    """The other way round, both would wait for each other."""
    check = answer(make_check(), "down", "down", "down")
    with CaptureQueriesContext(connection) as asked:
        services.delete(check)
    said = [query["sql"] for query in asked]
    locked = next(n for n, sql in enumerate(said) if "FOR UPDATE" in sql and "_check" in sql)
    closed = next(n for n, sql in enumerate(said) if "UPDATE alerts_alert" in sql)
    assert locked < closed


def test_switching_a_failing_check_off_ends_its_alert_and_frees_the_service() -> None:
    check = answer(make_check(), "down", "down", "down")
    check.enabled = False
    services.save(check, changed=["enabled"])
    assert Alert.objects.get().state == "resolved"
    assert ServiceStatus.objects.get(service=check.service).checks_status == ""


def test_a_check_switched_off_while_it_was_asked_raises_no_alert() -> None:
    check = answer(make_check(), "down", "down")
    claimed = Check.objects.select_related("service").get(pk=check.pk)
    check.enabled = False
    services.save(check, changed=["enabled"])
    results.write([Outcome(claimed, ProbeResult("down", "It is down."))], at=timezone.now())
    assert not Alert.objects.exists()


def test_a_check_renamed_while_it_was_asked_raises_its_alert_under_the_new_name() -> None:
    check = answer(make_check(), "down", "down")
    claimed = Check.objects.select_related("service").get(pk=check.pk)
    check.name = "new name"
    services.save(check, changed=["name"])
    results.write([Outcome(claimed, ProbeResult("down", "It is down."))], at=timezone.now())
    assert Alert.objects.get().labels["check"] == "new name"


@pytest.mark.parametrize("rest, raised", [(0, True), (3600, False)])
def test_a_failing_check_that_is_on_again_has_its_alert_again(rest: int, raised: bool) -> None:
    check = answer(make_check(), "down", "down", "down")
    for enabled in (False, True):
        check.enabled = enabled
        services.save(check, changed=["enabled"])
        long_ago = timezone.now() - timedelta(seconds=rest)
        Check.objects.update(last_run_at=long_ago)
    assert Alert.objects.filter(state="firing").exists() is raised


def test_an_answer_that_cannot_be_written_costs_only_itself(
    healthy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = due(target=healthy), due(target=healthy)
    real = results.write

    def write(outcomes: list[Outcome], *, at: datetime) -> None:
        real(outcomes, at=at)
        assert bad.pk not in [outcome.check.pk for outcome in outcomes]

    monkeypatch.setattr(results, "write", transaction.atomic(write))
    assert runner.run_round(seconds=2) == 2
    ran = dict(Check.objects.values_list("pk", "last_run_at"))
    assert (ran[bad.pk], ran[good.pk] is not None) == (None, True)


def test_renaming_a_failing_check_moves_its_alert() -> None:
    check = answer(make_check(name="old"), "down", "down", "down")
    check.name = "new"
    services.save(check, changed=["name"])
    states = {alert.labels["check"]: alert.state for alert in Alert.objects.all()}
    assert states == {"old": "resolved", "new": "firing"}


def test_a_form_that_saves_does_not_undo_what_the_runner_wrote() -> None:
    opened = make_check()
    answer(opened, "down", "down", "down")
    opened.name = "renamed"
    services.save(opened, changed=["name"])
    assert Check.objects.get(pk=opened.pk).status == "down"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("trail")
def test_a_hanging_target_delays_nobody(healthy: str) -> None:
    stop = threading.Event()
    with serving(lambda _peer: stop.wait(20)) as hanging:
        for _ in range(5):
            due(target=hanging, timeout_seconds=1.5)
        quick = [due(target=healthy) for _ in range(30)]
        began = time.monotonic()
        done = runner.run_round(seconds=1)
        stop.set()
    assert (done, time.monotonic() - began < 10) == (35, True)
    runs = Check.objects.filter(pk__in=[c.pk for c in quick]).values_list("last_run_at", flat=True)
    slow = Check.objects.exclude(pk__in=[c.pk for c in quick]).values_list("last_run_at", flat=True)
    assert max(filter(None, runs)) < min(filter(None, slow))


def test_a_thread_that_keeps_no_timeout_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a look-up of a name, which nothing ends."""
    stop = threading.Event()
    monkeypatch.setattr(runner, "probe", lambda _check, _server: stop.wait(30))
    check, began = due(timeout_seconds=0.3), time.monotonic()
    assert runner.run_round(seconds=0.5) == 1
    stop.set()
    assert time.monotonic() - began < 15
    assert Check.objects.get(pk=check.pk).sentence == "It did not answer within 0.3 seconds."


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("trail")
def test_two_workers_ask_each_check_once(healthy: str) -> None:
    checks = [due(target=healthy) for _ in range(40)]

    def work(_number: int) -> int:
        try:
            return runner.run_round(seconds=1)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(work, range(2))) == 40
    assert set(CheckHour.objects.values_list("runs", flat=True)) == {1}
    assert CheckHour.objects.count() == len(checks)


def test_a_round_goes_on_while_a_target_hangs_and_serves_the_others(healthy: str) -> None:
    """One process of the worker, however long a target hangs."""
    stop = threading.Event()
    with serving(lambda _peer: stop.wait(20)) as hanging:
        due(target=hanging, timeout_seconds=3)
        soon = due(target=healthy, next_run_at=timezone.now() + timedelta(seconds=1.6))
        done = runner.run_round(seconds=1.2)
        stop.set()
    assert done == 2
    assert Check.objects.get(pk=soon.pk).status == "up"
