"""The webhook: answered at once, worked on once, whatever the order and however often it is sent."""

import json
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from django.conf import settings
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse

from alerts import episodes, hooks
from alerts.models import Alert, HookDelivery, Transition
from monitoring import polling
from portal.core.models import Upstream
from security import tokens
from tests.factories import make_upstream, make_user
from tests.fakes import fake_alertmanager, stamp, wire_alert

pytestmark = pytest.mark.django_db
BEGAN = datetime.now(UTC) - timedelta(minutes=10)
ENDED = datetime.now(UTC) - timedelta(minutes=1)


def delivery(*numbers: int, status: str = "firing", **over: Any) -> bytes:
    """Return a webhook body (version 4) with these alerts."""
    ends = stamp(ENDED) if status == "resolved" else "0001-01-01T00:00:00Z"
    alerts = [
        {key: value for key, value in wire_alert(n).items() if key not in ("status", "updatedAt", "receivers")}
        | {"status": status, "startsAt": stamp(BEGAN), "endsAt": ends} | over
        for n in numbers
    ]  # fmt: skip
    return json.dumps(
        {"version": "4", "receiver": "portal", "status": status, "alerts": alerts}
    ).encode()


@pytest.fixture
def upstream() -> Upstream:
    return make_upstream(name="am")


@pytest.fixture
def token() -> str:
    return tokens.create(user=make_user(), name="hook", scopes=["alerts:write"])[1]


def send(body: bytes, token: str, name: str = "am") -> Any:
    url = reverse("hook-alertmanager", args=[name])
    return Client().post(
        url, body, content_type="application/json", headers={"Authorization": f"Bearer {token}"}
    )


def take(upstream: Upstream, body: bytes) -> None:
    hooks.receive(upstream, body)
    hooks.process_waiting()


def test_a_delivery_is_stored_answered_and_processed(upstream: Upstream, token: str) -> None:
    reply = send(delivery(1, 2), token)
    assert (reply.status_code, reply.json()) == (202, {"accepted": 2, "duplicate": False})
    hooks.process_waiting()
    assert set(Alert.objects.values_list("state", flat=True)) == {"firing"}
    assert Alert.objects.first().receivers == ["portal"]  # type: ignore[union-attr]


def test_a_resolved_webhook_closes_at_the_exact_end(upstream: Upstream) -> None:
    take(upstream, delivery(1))
    take(upstream, delivery(1, status="resolved"))
    alert = Alert.objects.get()
    assert (alert.state, stamp(alert.ends_at or BEGAN), alert.closed_by) == (
        "resolved",
        stamp(ENDED),
        "webhook",
    )


@pytest.mark.parametrize("order", ["firing first", "resolved first"])
def test_repeating_deliveries_a_hundred_times_changes_nothing(
    upstream: Upstream, order: str
) -> None:
    bodies = [delivery(1), delivery(1, status="resolved")]
    for _ in range(100):
        for body in bodies if order == "firing first" else reversed(bodies):
            HookDelivery.objects.all().delete()  # as if the first had been forgotten
            take(upstream, body)
    assert [alert.state for alert in Alert.objects.all()] == ["resolved"]
    assert sorted(Transition.objects.values_list("kind", flat=True)) == ["opened", "resolved"]


def test_the_same_body_is_stored_once(upstream: Upstream, token: str) -> None:
    replies = [send(delivery(1), token).json()["duplicate"] for _ in range(3)]
    assert replies == [False, True, True]
    assert HookDelivery.objects.count() == 1


def test_the_poll_completes_what_a_webhook_began_without_a_transition(upstream: Upstream) -> None:
    take(upstream, delivery(1))
    with fake_alertmanager() as fake:
        Upstream.objects.update(url=fake.url)
        fake.alerts = [wire_alert(1, startsAt=stamp(BEGAN))]
        polling.poll(upstream.pk)
    assert list(Transition.objects.values_list("kind", flat=True)) == ["opened"]
    assert Alert.objects.get().expires_at is not None


def test_an_end_by_absence_becomes_exact_when_the_webhook_comes_late(upstream: Upstream) -> None:
    take(upstream, delivery(1))
    Alert.objects.update(
        state="resolved", ends_at=datetime.now(UTC), closed_by="poll", closed_at=datetime.now(UTC))  # fmt: skip
    take(upstream, delivery(1, status="resolved"))
    assert stamp(Alert.objects.get().ends_at or BEGAN) == stamp(ENDED)


def test_the_end_of_an_earlier_episode_closes_no_later_one(upstream: Upstream) -> None:
    take(upstream, delivery(1))
    before = stamp(BEGAN - timedelta(minutes=5))
    times = {"startsAt": stamp(BEGAN - timedelta(hours=1)), "endsAt": before}
    take(upstream, delivery(1, status="resolved", **times))
    assert [alert.state for alert in Alert.objects.all()] == ["firing"]


def test_the_end_of_a_later_episode_does_not_move_that_of_an_earlier_one(
    upstream: Upstream,
) -> None:
    take(upstream, delivery(1))
    over = BEGAN + timedelta(minutes=2)
    Alert.objects.update(state="resolved", ends_at=over, closed_by="poll", closed_at=over)
    take(upstream, delivery(1, status="resolved", startsAt=stamp(BEGAN + timedelta(minutes=5))))
    ends = Alert.objects.order_by("starts_at").values_list("ends_at", flat=True)
    assert [stamp(end) for end in ends if end] == [stamp(over), stamp(ENDED)]


@pytest.mark.django_db(transaction=True)
def test_what_another_worker_holds_is_passed_over(another_connection: Any) -> None:
    upstream = make_upstream(name="am")
    hooks.receive(upstream, delivery(1))
    hooks.receive(upstream, delivery(2))
    another_connection.execute("BEGIN")
    held = "SELECT FROM alerts_hookdelivery ORDER BY id LIMIT 1 FOR UPDATE"
    another_connection.execute(held)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '5s'")
    assert hooks.process_waiting() == 1
    another_connection.execute("COMMIT")
    assert Alert.objects.get().fingerprint == f"{2:016x}"
    assert hooks.process_waiting() == 1
    connection.close()  # its lock_timeout is nobody else's


BAD = {
    "no JSON": (b"{", 400),
    "a list": (b"[]", 400),
    "no alerts": (b'{"version": "4"}', 400),
    "alerts of the wrong type": (b'{"alerts": {"a": 1}}', 400),
    "only unreadable alerts": (b'{"alerts": [1, {}]}', 400),
    "not UTF-8": (b"\xff\xfe", 400),
    "deep": (b'{"alerts": ' + b"[" * 5000 + b"]" * 5000 + b"}", 400),
    "huge": (b'{"alerts": [' + b" " * (11 * 1024 * 1024) + b"]}", 413),
    "empty list": (b'{"alerts": []}', 202),
}


@pytest.mark.parametrize("body, code", BAD.values(), ids=BAD.keys())
def test_a_bad_body_is_a_problem_and_never_a_500(
    upstream: Upstream, token: str, body: bytes, code: int
) -> None:
    reply = send(body, token)
    assert reply.status_code == code
    if code >= 400:
        assert reply["Content-Type"] == "application/problem+json"
        assert reply.json()["detail"]


def test_one_bad_alert_spoils_no_other(upstream: Upstream) -> None:
    body = json.loads(delivery(1, 2))
    body["alerts"][0]["startsAt"] = 17
    body["alerts"][1]["labels"]["nul"] = "a\x00b"
    take(upstream, json.dumps(body).encode())
    assert Alert.objects.get().labels["nul"] == "a\ufffdb"
    assert "1 alerts could not be read" in HookDelivery.objects.get().error


@pytest.mark.parametrize("wrong", ["dop_pat_" + "0" * 38, "", "x" * 65_000, "\x00\xff"])
def test_a_wrong_token_is_refused(upstream: Upstream, wrong: str) -> None:
    reply = send(delivery(1), wrong)
    assert reply.status_code in (401, 403)
    assert HookDelivery.objects.count() == 0


def test_an_unknown_upstream_is_a_404_problem(upstream: Upstream, token: str) -> None:
    assert send(delivery(1), token, name="nobody").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_two_workers_process_each_delivery_once() -> None:
    upstream = make_upstream(name="am")
    for group in range(20):
        hooks.receive(upstream, delivery(*range(group * 10, group * 10 + 20)))

    def work() -> None:
        hooks.process_waiting(limit=20)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hooks.process_waiting()
    assert HookDelivery.objects.filter(processed_at__isnull=True).count() == 0
    assert Alert.objects.count() == Transition.objects.count() == 210


def test_a_redis_that_hangs_does_not_hold_up_the_answer(
    upstream: Upstream, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never says a word
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        app = Celery(
            broker=url,
            broker_transport_options=settings.CELERY_BROKER_TRANSPORT_OPTIONS,
            set_as_current=False,  # or the tasks of later tests would find no broker
        )
        monkeypatch.setattr("alerts.api.process_deliveries", app.task(hooks.process_waiting))
        began = time.monotonic()
        assert send(delivery(1), token).status_code == 202
        assert time.monotonic() - began < 10
        app.close()
    assert hooks.process_waiting() == 1


WATCHED = {"watchdogs": [{"watchdog": ['alertname="Watchdog"'], "covers": ['cluster="eu"']}]}


@pytest.mark.parametrize(
    "early, options, state",
    [(0, WATCHED, "firing"), (60, WATCHED, "resolved"), (0, {}, "resolved")],
    ids=["nobody resends it", "its Prometheus saw it recover", "no watchdog could tell"],
)
def test_an_end_that_only_says_that_nobody_resends_the_alert_is_left_to_the_polls(
    upstream: Upstream, early: int, options: dict[str, Any], state: str
) -> None:
    promised = datetime.now(UTC) + timedelta(minutes=2)
    Upstream.objects.update(options=options)
    with fake_alertmanager() as fake:
        Upstream.objects.update(url=fake.url)
        fake.alerts = [wire_alert(1, endsAt=stamp(promised))]
        polling.poll(upstream.pk)
    ended = promised - timedelta(seconds=early)
    take(upstream, delivery(1, status="resolved", endsAt=stamp(ended)))
    assert Alert.objects.get().state == state


def test_what_a_watchdog_covers_is_closed_exactly_also_after_the_polls_missed_it(
    upstream: Upstream,
) -> None:
    Upstream.objects.update(options=WATCHED)
    watchdog = wire_alert(9, labels={"alertname": "Watchdog"})
    ended = datetime.now(UTC) - timedelta(seconds=30)
    with fake_alertmanager() as fake:
        Upstream.objects.update(url=fake.url)
        promised = datetime.now(UTC) + timedelta(minutes=2)
        fake.alerts = [wire_alert(1, endsAt=stamp(promised)), watchdog]
        polling.poll(upstream.pk)
        fake.alerts = [watchdog]
        polling.poll(upstream.pk)
    take(upstream, delivery(1, status="resolved", endsAt=stamp(ended)))
    alert = Alert.objects.get(fingerprint=f"{1:016x}")
    assert (alert.state, stamp(alert.ends_at or BEGAN)) == ("resolved", stamp(ended))


def test_a_delivery_that_cannot_be_merged_holds_up_no_other(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = episodes.insert

    def insert(number: int, rows: Any, **options: Any) -> Any:
        if rows[0].fingerprint == f"{1:016x}":
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT 1 / 0"
                )  # what PostgreSQL refuses ends the transaction as well
        return real(number, rows, **options)

    monkeypatch.setattr(episodes, "insert", insert)
    hooks.receive(upstream, delivery(1))
    hooks.receive(upstream, delivery(2))
    assert hooks.process_waiting() == 2
    assert Alert.objects.get().fingerprint == f"{2:016x}"
    error, none = HookDelivery.objects.order_by("id").values_list("error", flat=True)
    assert "The portal failed to process it (DataError)" in error
    assert none == ""


def test_a_database_that_is_away_leaves_a_delivery_waiting(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_delivery: HookDelivery) -> int:
        raise OperationalError("the database system is shutting down")

    hooks.receive(upstream, delivery(1))
    monkeypatch.setattr(hooks, "_merge", away)
    with pytest.raises(OperationalError):
        hooks.process_waiting()
    monkeypatch.undo()
    assert hooks.process_waiting() == 1
    assert Alert.objects.get().state == "firing"
