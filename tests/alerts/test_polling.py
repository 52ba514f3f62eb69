"""Polling an Alertmanager into PostgreSQL: the life cycle, bad days, and how little is written."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from alerts import silences
from alerts.models import Alert, Silence, State, Transition
from alerts.polling import steady_skew
from monitoring import polling
from portal.core.models import Upstream
from portal.core.polling import Outcome
from tests.factories import make_service, make_silence, make_upstream
from tests.fakes import FakeAlertmanager, fake_alertmanager, stamp, wire_alert

pytestmark = pytest.mark.django_db
AN_HOUR = "(3599|3600|3601|3602)"  # a Date has whole seconds, and an answer takes its time


@pytest.fixture
def fake() -> Iterator[FakeAlertmanager]:
    with fake_alertmanager() as server:
        yield server


@pytest.fixture
def upstream(fake: FakeAlertmanager) -> Upstream:
    return make_upstream(url=fake.url, name="am")


def poll(upstream: Upstream) -> Outcome:
    return polling.poll(upstream.pk)


def kinds() -> list[str]:
    return list(Transition.objects.order_by("id").values_list("kind", flat=True))


def test_an_alert_opens_is_suppressed_and_resolves(
    fake: FakeAlertmanager, upstream: Upstream
) -> None:
    service = make_service(slug="node", matchers=[])
    fake.alerts = [wire_alert()]
    poll(upstream)
    alert = Alert.objects.get()
    assert (alert.state, alert.severity, alert.service, alert.summary) == (
        "firing", "critical", service, "Instance 10.0.0.1:9100 is down")  # fmt: skip
    fake.alerts[0]["status"] = {"state": "suppressed", "silencedBy": ["s"], "inhibitedBy": []}
    poll(upstream)
    fake.alerts = []
    poll(upstream)
    assert Alert.objects.get().state == State.SUPPRESSED
    poll(upstream)
    alert.refresh_from_db()
    assert alert.state == State.RESOLVED
    assert alert.resolved_after is not None
    assert alert.resolved_before is not None
    assert alert.resolved_after <= alert.resolved_before
    assert kinds() == ["opened", "suppressed", "resolved"]


def test_who_keeps_an_alert_quiet_is_stored_and_forgotten_again(
    fake: FakeAlertmanager, upstream: Upstream
) -> None:
    """One that was inhibited from its first sight is in the history like any other."""
    quiet = {"state": "suppressed", "silencedBy": ["s1"], "inhibitedBy": ["abc"]}
    fake.alerts = [wire_alert(status=quiet)]
    poll(upstream)
    alert = Alert.objects.get()
    assert (alert.state, alert.silenced_by, alert.inhibited_by) == ("suppressed", ["s1"], ["abc"])
    fake.alerts = [wire_alert(startsAt=fake.alerts[0]["startsAt"])]
    poll(upstream)
    alert.refresh_from_db()
    assert (alert.state, alert.silenced_by, alert.inhibited_by) == ("firing", [], [])
    assert kinds() == ["opened", "suppressed", "unsuppressed"]


def test_an_unchanged_poll_takes_few_statements_and_writes_no_alert(
    fake: FakeAlertmanager, upstream: Upstream
) -> None:
    counts = []
    for number in (3, 300):
        fake.alerts = [wire_alert(n) for n in range(number)]
        poll(upstream)
        for alert in fake.alerts:
            alert |= {"updatedAt": stamp(datetime.now(UTC)), "endsAt": stamp(datetime.now(UTC))}
        before = _versions()
        with CaptureQueriesContext(connection) as queries:
            poll(upstream)
        assert _versions() == before
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 6


def _versions() -> list[tuple[str, ...]]:
    """Return PostgreSQL's row versions: they move with every write, even one that changes nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id::text, xmin::text, ctid::text FROM alerts_alert ORDER BY id")
        return list(cursor.fetchall())


def test_an_upstream_that_fails_keeps_its_alerts_and_says_why(
    fake: FakeAlertmanager, upstream: Upstream
) -> None:
    fake.alerts = [wire_alert()]
    poll(upstream)
    fake.broken = 500
    for _ in range(3):
        outcome = poll(upstream)
    upstream.refresh_from_db()
    assert "HTTP 500: broken on purpose" in outcome.error
    assert upstream.error_since is not None
    assert upstream.freshness(at=datetime.now(UTC)) == "unreachable"
    assert Alert.objects.get().missing_since is None


def test_an_empty_list_after_a_restart_resolves_nothing(
    fake: FakeAlertmanager, upstream: Upstream
) -> None:
    fake.alerts = [wire_alert()]
    poll(upstream)
    fake.alerts, fake.started_at = [], datetime.now(UTC)
    for _ in range(4):
        poll(upstream)
    upstream.refresh_from_db()
    assert Alert.objects.get().is_open
    assert "started" in upstream.settling_reason
    assert upstream.settling_since is not None


def test_a_mass_drop_resolves_nothing_until_it_held(
    fake: FakeAlertmanager, upstream: Upstream
) -> None:
    fake.alerts = [wire_alert(n) for n in range(30)]
    poll(upstream)
    fake.alerts = fake.alerts[:5]
    for _ in range(3):
        poll(upstream)
    assert Alert.objects.open().count() == 30
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    Alert.objects.filter(missing_since__isnull=False).update(missing_since=long_ago)
    Upstream.objects.update(success_streak_since=long_ago)
    poll(upstream)
    upstream.refresh_from_db()
    assert Alert.objects.open().count() == 5
    assert upstream.settling_since is None


def test_firing_again_within_a_minute_reopens_the_episode(
    fake: FakeAlertmanager, upstream: Upstream
) -> None:
    fake.alerts = [wire_alert()]
    poll(upstream)
    fake.alerts = []
    poll(upstream)
    poll(upstream)
    Alert.objects.update(closed_at=datetime.now(UTC) - timedelta(seconds=45))
    fake.alerts = [wire_alert()]
    poll(upstream)
    assert kinds() == ["opened", "resolved", "reopened"]
    assert Alert.objects.get().is_open


def test_firing_again_later_is_a_new_episode_without_the_acknowledgement(
    fake: FakeAlertmanager, upstream: Upstream
) -> None:
    fake.alerts = [wire_alert()]
    poll(upstream)
    Alert.objects.update(acknowledged_by="me", acknowledged_at=datetime.now(UTC))
    fake.alerts = []
    poll(upstream)
    poll(upstream)
    Alert.objects.update(closed_at=datetime.now(UTC) - timedelta(minutes=2))
    fake.alerts = [wire_alert()]
    poll(upstream)
    assert list(Alert.objects.order_by("id").values_list("state", "acknowledged_by")) == [
        ("resolved", "me"), ("firing", "")]  # fmt: skip


def test_a_resend_with_a_later_end_is_remembered_without_a_write(
    fake: FakeAlertmanager, upstream: Upstream
) -> None:
    fake.alerts = [wire_alert()]
    poll(upstream)
    fake.alerts[0]["endsAt"] = stamp(datetime.now(UTC) + timedelta(hours=1))
    poll(upstream)
    fake.alerts = []
    for _ in range(3):
        poll(upstream)
    assert Alert.objects.get().is_open


def test_a_flushed_cache_closes_nothing_too_early(
    fake: FakeAlertmanager, upstream: Upstream
) -> None:
    now = datetime.now(UTC)
    fake.alerts = [
        wire_alert(
            updatedAt=stamp(now - timedelta(minutes=9)), endsAt=stamp(now - timedelta(minutes=5))
        )
    ]
    poll(upstream)
    cache.clear()
    fake.alerts = []
    for _ in range(3):
        poll(upstream)
    assert Alert.objects.get().is_open


def test_bad_items_are_counted_and_the_rest_is_kept(
    fake: FakeAlertmanager, upstream: Upstream
) -> None:
    fake.alerts = [wire_alert(1)]
    poll(upstream)
    hostile = {"alertname": "a\x00b", "severity": "X" * 500, "n\x00": "\x1b[31m"}
    fake.alerts = [
        wire_alert(2, labels=hostile, annotations={"summary": "s" * 10_000}),
        wire_alert(3, startsAt="yesterday"),
        wire_alert(4, labels="not an object"),
        wire_alert(2, updatedAt=stamp(datetime.now(UTC) - timedelta(minutes=6))),  # the older twin
        {"fingerprint": 7},
    ]
    for _ in range(3):
        poll(upstream)
    upstream.refresh_from_db()
    assert set(Alert.objects.open().values_list("fingerprint", flat=True)) == {
        f"{1:016x}",
        f"{2:016x}",
    }
    assert "3 items could not be read" in upstream.warning
    kept = Alert.objects.get(fingerprint=f"{2:016x}")
    assert (kept.labels["alertname"], len(kept.severity)) == ("a\ufffdb", 50)
    assert kept.annotations == {"summary": "s" * 10_000}


def test_members_of_a_cluster_are_one(fake: FakeAlertmanager, upstream: Upstream) -> None:
    with fake_alertmanager() as second:
        Upstream.objects.update(url=f"{fake.url},{second.url}")
        early, late = datetime.now(UTC) - timedelta(hours=2), datetime.now(UTC) - timedelta(hours=1)
        silenced = {"state": "suppressed", "silencedBy": ["s"], "inhibitedBy": []}
        fake.alerts = [wire_alert(1, startsAt=stamp(late), status=silenced)]
        second.alerts = [wire_alert(1, startsAt=stamp(early)), wire_alert(2)]
        poll(upstream)
        assert Alert.objects.count() == 2
        first = Alert.objects.get(fingerprint=f"{1:016x}")
        assert (first.state, stamp(first.starts_at)) == ("firing", stamp(early))
        second.broken = 503
        for _ in range(3):
            assert poll(upstream).error == ""
        upstream.refresh_from_db()
        assert Alert.objects.open().count() == 2
        assert "1 of 2 members" in upstream.settling_reason


def test_a_missing_watchdog_keeps_the_alerts_it_covers(
    fake: FakeAlertmanager, upstream: Upstream
) -> None:
    watchdog = {"watchdog": ['alertname="Watchdog"'], "covers": ['cluster="eu"']}
    Upstream.objects.update(options={"watchdogs": [watchdog]})
    dog = wire_alert(9, labels={"alertname": "Watchdog", "cluster": "eu"})
    fake.alerts = [wire_alert(1), dog]
    poll(upstream)
    fake.alerts = []
    for _ in range(3):
        poll(upstream)
    assert Alert.objects.open().count() == 2
    fake.alerts = [dog]
    poll(upstream)
    assert [a.fingerprint for a in Alert.objects.open()] == [dog["fingerprint"]]


@pytest.mark.parametrize(
    "measured, known, expected",
    [
        (3600.4, 3599.6, 3599.6),
        (3599.6, 3600.4, 3600.4),
        (0.0, 1.2, 1.2),
        (0.0, 3.0, 0.0),
        (60.0, 3600.0, 60.0),
        (None, 3600.0, None),
        (3600.0, None, 3600.0),
    ],
)
def test_a_skew_that_only_jitters_stays_as_it_was(
    measured: float | None, known: float | None, expected: float | None
) -> None:
    assert steady_skew(measured, known) == expected


@pytest.mark.parametrize("ends_in, state", [(4, "firing"), (-1, "resolved")])
@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_an_hour_off_is_shown_and_does_not_confuse(
    fake: FakeAlertmanager, upstream: Upstream, hours: int, ends_in: int, state: str
) -> None:
    fake.clock_offset = timedelta(hours=hours)
    theirs = datetime.now(UTC) + fake.clock_offset
    began, ends = theirs - timedelta(minutes=9), theirs + timedelta(minutes=ends_in)
    fake.alerts = [wire_alert(startsAt=stamp(began), endsAt=stamp(ends))]
    for _ in range(2):
        poll(upstream)
    fake.alerts = []
    for _ in range(3):
        poll(upstream)
    upstream.refresh_from_db()
    alert = Alert.objects.get()
    assert (alert.state, upstream.settling_reason) == (state, "")
    assert upstream.clock_skew_seconds == pytest.approx(hours * 3600, abs=10)
    side = "ahead of" if hours > 0 else "behind"
    assert re.search(rf"Its clock is {AN_HOUR} s {side} the portal's\.", upstream.warning)
    for moment in filter(None, (alert.resolved_after, alert.resolved_before)):
        assert moment == pytest.approx(theirs, abs=timedelta(seconds=60))


def test_settling_ends_by_the_clock_of_the_server(
    fake: FakeAlertmanager, upstream: Upstream
) -> None:
    fake.clock_offset = timedelta(hours=-1)
    began = stamp(datetime.now(UTC) - timedelta(hours=2))
    fake.alerts = [wire_alert(n, startsAt=began, endsAt=began) for n in range(30)]
    poll(upstream)
    fake.alerts = []
    poll(upstream)
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    Alert.objects.update(missing_since=long_ago + fake.clock_offset)
    Upstream.objects.update(success_streak_since=long_ago)
    poll(upstream)
    assert Alert.objects.open().count() == 0


@pytest.mark.parametrize("hours", [1, 0, -1])
def test_a_silence_is_gone_by_the_clock_of_the_server(
    fake: FakeAlertmanager, upstream: Upstream, hours: int
) -> None:
    """Made before the list was asked for, it has been ended there; made since, it is too new for the list."""
    fake.clock_offset = timedelta(hours=hours)
    theirs = datetime.now(UTC) + fake.clock_offset
    times = {"starts_at": theirs - timedelta(minutes=9), "ends_at": theirs + timedelta(hours=9)}
    moments = {n: theirs + timedelta(minutes=n) for n in (-1, 1)}
    made = [
        make_silence(upstream=upstream, updated_at=moment, **times) for moment in moments.values()
    ]
    poll(upstream)
    states = []
    for silence in made:
        silence.refresh_from_db()
        states.append(silence.state(at=datetime.now(UTC) + timedelta(seconds=60)))
    assert states == ["expired", "active"]


def test_silences_are_mirrored_and_expire(fake: FakeAlertmanager, upstream: Upstream) -> None:
    now = datetime.now(UTC)
    fake.silences = [{
        "id": "s1", "startsAt": stamp(now), "endsAt": stamp(now + timedelta(hours=2)), "updatedAt": stamp(now),
        "comment": "Planned work", "createdBy": "me", "status": {"state": "active"},
        "matchers": [{"name": "job", "value": "a|b", "isRegex": True, "isEqual": False}],
    }]  # fmt: skip
    poll(upstream)
    silence = Silence.objects.get()
    assert str(silence) == 'job!~"a|b"'
    fake.silences = []
    poll(upstream)
    silence.refresh_from_db()
    assert silence.state(at=datetime.now(UTC) + timedelta(seconds=1)) == "expired"


@pytest.mark.parametrize("wrong_first", [True, False])
def test_a_member_whose_clock_is_off_is_told_of_and_not_gone_by(
    fake: FakeAlertmanager, upstream: Upstream, wrong_first: bool
) -> None:
    with fake_alertmanager() as wrong:
        wrong.clock_offset = timedelta(hours=1)
        urls = [wrong.url, fake.url] if wrong_first else [fake.url, wrong.url]
        Upstream.objects.update(url=",".join(urls))
        poll(upstream)
    upstream.refresh_from_db()
    assert upstream.clock_skew_seconds == 0
    said = rf"The clock of a member is {AN_HOUR} s ahead of the portal's\."
    assert re.search(said, upstream.warning)


def wire_silence(**over: str) -> dict[str, object]:
    now = datetime.now(UTC)
    matchers = [{"name": "alertname", "value": "x", "isRegex": False, "isEqual": True}]
    times = {
        "startsAt": stamp(now),
        "updatedAt": stamp(now),
        "endsAt": stamp(now + timedelta(hours=2)),
    }
    return {"id": "s1", "matchers": matchers, **times, **over}


def test_a_silence_made_while_the_list_was_on_its_way_is_not_taken_as_gone(
    fake: FakeAlertmanager, upstream: Upstream
) -> None:
    began = datetime.now(UTC) - timedelta(seconds=5)
    made = make_silence(upstream=upstream, updated_at=began + timedelta(seconds=1))
    silences.mirror(upstream, {}, complete=True, asked_at=began, at=datetime.now(UTC))
    made.refresh_from_db()
    assert made.state(at=datetime.now(UTC)) == "active"
    poll(upstream)
    made.refresh_from_db()
    assert made.state(at=datetime.now(UTC)) == "expired"


def test_a_silence_for_ever_is_kept(fake: FakeAlertmanager, upstream: Upstream) -> None:
    fake.silences = [wire_silence(endsAt="9999-12-31T23:59:59.999Z")]
    assert "1 silences changed" in poll(upstream).summary
    assert Silence.objects.get().ends_at.year == 2200
    assert poll(upstream).summary == "0 seen"


def test_a_silence_that_cannot_be_read_keeps_no_alert_open(
    fake: FakeAlertmanager, upstream: Upstream
) -> None:
    known = make_silence(upstream=upstream)
    fake.alerts, fake.silences = [wire_alert()], [wire_silence(endsAt="never")]
    poll(upstream)
    fake.alerts = []
    poll(upstream)
    poll(upstream)
    assert Alert.objects.get().state == State.RESOLVED
    upstream.refresh_from_db()
    assert "1 items could not be read" in upstream.warning
    known.refresh_from_db()
    assert known.state(at=datetime.now(UTC)) == "active"  # the one that cannot be read may be it


def test_a_disabled_or_leased_upstream_is_not_polled(
    fake: FakeAlertmanager, upstream: Upstream
) -> None:
    Upstream.objects.update(lease_until=datetime.now(UTC) + timedelta(minutes=1))
    assert poll(upstream).skipped
    Upstream.objects.update(lease_until=None, enabled=False)
    assert poll(upstream).skipped
