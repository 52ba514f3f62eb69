"""Who polls what, when: each due row goes to one worker, and every poll leaves how fresh its data is."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection
from django.utils import timezone

from monitoring.tasks import poll_due_upstreams
from portal.core import polling
from portal.core.models import Freshness, Upstream
from portal.core.polling import Report
from portal.core.upstream_errors import Fault, UpstreamError
from tests.factories import make_upstream
from tests.fakes import FakeAlertmanager, fake_alertmanager, wire_alert

pytestmark = pytest.mark.django_db
KINDS = ("alertmanager", "prometheus")
SECOND = timedelta(seconds=1)


def due(**over: Any) -> Upstream:
    return make_upstream(**{"next_run_at": timezone.now() - SECOND, **over})


def works(_upstream: Upstream) -> Report:
    return Report("fine", skew_seconds=0.0)


def fails(_upstream: Upstream) -> Report:
    raise UpstreamError(Fault.REFUSED, "Nothing is listening.")


def test_only_what_is_due_enabled_and_free_is_claimed_and_moved_by_its_interval() -> None:
    now = timezone.now()
    mine = [due(interval_seconds=60), due(lease_until=now - SECOND)]
    due(enabled=False)
    due(lease_until=now + SECOND)
    due(next_run_at=now + SECOND)
    due(kind="crowdsec")
    assert sorted(polling.claim_due(at=now, kinds=KINDS)) == [row.pk for row in mine]
    assert polling.claim_due(at=now, kinds=KINDS) == []
    mine[0].refresh_from_db()
    assert mine[0].next_run_at == now + timedelta(seconds=60)


@pytest.mark.django_db(transaction=True)
def test_many_workers_claim_each_due_upstream_once() -> None:
    wanted = [due().pk for _ in range(40)]

    def claim(_number: int) -> list[int]:
        found: list[int] = []
        while got := polling.claim_due(at=timezone.now(), kinds=KINDS, limit=3):
            found += got
        connection.close()
        return found

    with ThreadPoolExecutor(4) as pool:
        claimed = [pk for found in pool.map(claim, range(4)) for pk in found]
    assert sorted(claimed) == wanted


def test_an_upstream_that_is_being_polled_is_not_polled_twice() -> None:
    upstream = due()
    inner: list[bool] = []

    def poller(row: Upstream) -> Report:
        inner.append(polling.run(row.pk, works).skipped)
        return Report("once")

    assert polling.run(upstream.pk, poller).summary == "once"
    assert inner == [True]
    assert polling.run(upstream.pk, works).summary == "fine"


def test_a_worker_that_died_holds_an_upstream_no_longer_than_its_timeout() -> None:
    upstream = due(options={"timeout_seconds": 10})
    polling._begin(upstream.pk)
    upstream.refresh_from_db()
    assert upstream.lease_until is not None
    assert upstream.lease_until - timezone.now() <= timedelta(seconds=40)
    Upstream.objects.filter(pk=upstream.pk).update(lease_until=timezone.now() - SECOND)
    assert polling.claim_due(at=timezone.now(), kinds=KINDS) == [upstream.pk]


def test_a_form_that_was_read_before_a_poll_ended_puts_nothing_back() -> None:
    upstream = due(live=False)
    forms = []

    def poller(_taken: Upstream) -> Report:
        forms.append(Upstream.objects.get(pk=upstream.pk))
        return Report("fine")

    polling.run(upstream.pk, poller)
    (form,) = forms
    form.interval_seconds = 77
    form.save()
    upstream.refresh_from_db()
    assert (upstream.interval_seconds, upstream.lease_until) == (77, None)
    assert upstream.succeeded_at is not None


def test_each_poll_leaves_its_freshness() -> None:
    upstream = due(live=False)
    polling.run(upstream.pk, works)
    upstream.refresh_from_db()
    assert upstream.attempted_at <= upstream.succeeded_at  # type: ignore[operator]
    assert upstream.duration_seconds is not None
    assert (upstream.error, upstream.clock_skew_seconds, upstream.lease_until) == ("", 0.0, None)
    assert upstream.warning == ""
    began = upstream.success_streak_since
    for _ in range(2):
        polling.run(upstream.pk, fails)
    upstream.refresh_from_db()
    first = upstream.error_since
    assert (upstream.error, upstream.success_streak_since) == ("Nothing is listening.", None)
    assert first is not None
    assert began is not None
    assert first > began
    polling.run(upstream.pk, works)
    upstream.refresh_from_db()
    assert (upstream.error, upstream.error_since) == ("", None)
    assert upstream.success_streak_since is not None
    assert upstream.success_streak_since > first


def test_a_fault_of_the_portal_is_a_sentence_and_frees_the_upstream() -> None:
    def broken(_upstream: Upstream) -> Report:
        raise ZeroDivisionError("hunter2")

    upstream = due()
    said = polling.run(upstream.pk, broken).error
    assert "The portal failed while polling it (ZeroDivisionError)" in said
    assert "hunter2" not in said
    upstream.refresh_from_db()
    assert (upstream.lease_until, upstream.error) == (None, said)


def test_a_slow_upstream_rests_as_long_as_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 40.0])
    slow = SimpleNamespace(monotonic=lambda: next(clock))
    monkeypatch.setattr("portal.core.polling.time", slow)
    upstream = due(interval_seconds=15)
    polling.claim_due(at=timezone.now(), kinds=KINDS)
    assert polling.run(upstream.pk, works).seconds == 40
    upstream.refresh_from_db()
    assert (
        "It is slow: the last poll took 40 s, longer than its interval of 15 s" in upstream.warning
    )
    assert upstream.next_run_at > timezone.now() + timedelta(seconds=30)


@pytest.mark.parametrize(
    "over, age, state",
    [
        ({}, 0, "live"),
        ({}, 50, "live"),
        ({}, 51, "stale"),
        ({"interval_seconds": 60}, 180, "live"),
        ({"error": "Down."}, 0, "unreachable"),
        ({"attempted_at": None}, 0, "never"),
        ({"succeeded_at": None}, 0, "never"),
        ({"succeeded_at": None}, 51, "stale"),
    ],
)
def test_three_missed_intervals_are_stale(over: dict[str, Any], age: int, state: str) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    seen = now - age * SECOND
    facts = {"interval_seconds": 15, "attempted_at": seen, "succeeded_at": seen, **over}
    assert Upstream(kind="alertmanager", **facts).freshness(at=now) == state


@pytest.fixture
def fake() -> Iterator[FakeAlertmanager]:
    with fake_alertmanager() as server:
        yield server


def test_a_tick_polls_what_is_due_and_a_failing_one_delays_no_other(
    fake: FakeAlertmanager,
) -> None:
    fake.alerts = [wire_alert()]
    broken, good = due(url="http://127.0.0.1:1"), due(url=fake.url)
    poll_due_upstreams()
    for upstream, alerts in ((broken, 0), (good, 1)):
        upstream.refresh_from_db()
        assert upstream.alerts.count() == alerts
        assert bool(upstream.error) is (alerts == 0)
        assert upstream.next_run_at > timezone.now()


def begin(upstream: Upstream) -> Upstream:
    row = polling._begin(upstream.pk)
    assert row is not None
    return row


def test_an_upstream_whose_every_poll_is_killed_is_unreachable_rather_than_new() -> None:
    upstream = due(succeeded_at=None)
    for error in ("", polling.KILLED, polling.KILLED):
        assert begin(upstream).error == error
        Upstream.objects.update(lease_until=timezone.now() - SECOND)
    upstream.refresh_from_db()
    assert upstream.freshness(at=timezone.now()) is Freshness.UNREACHABLE
    assert upstream.error_since is not None
    polling.run(upstream.pk, works)
    upstream.refresh_from_db()
    assert (upstream.error, upstream.freshness(at=timezone.now())) == ("", Freshness.LIVE)
    assert upstream.error_since is None


def test_a_killed_poll_of_an_upstream_that_has_answered_shows_by_its_age_alone() -> None:
    upstream = due(succeeded_at=timezone.now(), lease_until=timezone.now() - SECOND)
    assert begin(upstream).error == ""


def test_a_poll_of_several_requests_prolongs_its_lease_before_it_ends() -> None:
    upstream = due(options={"timeout_seconds": 10})
    began = polling._begin(upstream.pk)
    assert began is not None
    first = began.lease_until
    polling.hold(began)
    assert began.lease_until == first  # enough is left of it: nothing is written
    Upstream.objects.update(lease_until=timezone.now() + SECOND)
    began.refresh_from_db()
    polling.hold(began)
    assert began.lease_until is not None
    assert began.lease_until - timezone.now() > timedelta(seconds=35)
    assert Upstream.objects.get(pk=upstream.pk).lease_until == began.lease_until


def test_a_poll_that_another_worker_has_taken_over_writes_nothing() -> None:
    """Held up beyond its lease, as by a machine that slept: what it fetched is older than what is known."""
    upstream = due()
    later = timezone.now() + timedelta(minutes=3)

    def held_up(row: Upstream) -> Report:
        Upstream.objects.update(lease_until=later, observed={"alerts": 2})
        row.lease_until = timezone.now() - SECOND
        polling.hold(row)
        return Report("too late", observed={"alerts": 1})

    assert polling.run(upstream.pk, held_up).skipped
    upstream.refresh_from_db()
    assert (upstream.lease_until, upstream.observed) == (later, {"alerts": 2})


def test_the_end_of_a_poll_leaves_the_lease_of_another_alone() -> None:
    upstream = due()
    later = timezone.now() + timedelta(minutes=3)

    def slow(_row: Upstream) -> Report:
        Upstream.objects.update(lease_until=later, warning="newer")
        return Report("too late", warning="older")

    polling.run(upstream.pk, slow)
    upstream.refresh_from_db()
    assert (upstream.lease_until, upstream.warning) == (later, "newer")


def test_a_poll_that_is_given_up_for_its_length_blames_the_server() -> None:
    def endless(_row: Upstream) -> Report:
        raise SoftTimeLimitExceeded

    upstream = due()
    assert "together took too long" in polling.run(upstream.pk, endless).error
    upstream.refresh_from_db()
    assert upstream.lease_until is None


def test_a_clock_that_was_set_back_blinds_nobody() -> None:
    """A machine that began an hour ahead: nothing was due for an hour, and all of it looked live."""
    now, hour = timezone.now(), timedelta(hours=1)
    upstream = due(attempted_at=now + hour, succeeded_at=now + hour, next_run_at=now + hour)
    asked_to_wait = due(next_run_at=now + hour)
    assert upstream.freshness(at=now) == "stale"
    assert polling.claim_due(at=now, kinds=KINDS) == [upstream.pk]
    assert polling.claim_due(at=now, kinds=KINDS) == []
    upstream.refresh_from_db()
    assert upstream.next_run_at == now + timedelta(seconds=upstream.interval_seconds)
    assert asked_to_wait.freshness(at=now) == "live"
