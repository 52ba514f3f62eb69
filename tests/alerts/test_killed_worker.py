"""`kill -9` of a real worker in the middle of a delivery: sent again, said so, and nothing lost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from celery.exceptions import AlwaysEagerIgnored
from django.db import connection
from django.utils import timezone

from alerts import attempts, leases
from alerts.notification_models import Channel, Notification
from portal.celery import app
from portal.core.embedded.places import BASE_DIR
from tests.alerts.test_delivery import fire
from tests.factories import make_channel, make_route
from tests.receivers import Receiver, http_receiver
from tests.stack import until

pytestmark = pytest.mark.django_db(transaction=True)
WORKER = [sys.executable, "-m", "celery", "-A", "portal.celery", "worker", "-P", "solo"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as found:
        yield found


@contextmanager
def worker(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a worker of its own on the database of the test; what is left of it is killed by its number."""
    database = urlsplit(os.environ["DATABASE_URL"])._replace(
        path=f"/{connection.settings_dict['NAME']}"
    )
    ready = folder / f"ready-{time.monotonic_ns()}"
    process = subprocess.Popen(
        [*WORKER, "--without-gossip", "--without-mingle", "--without-heartbeat"],
        cwd=BASE_DIR,
        env={**os.environ, "DATABASE_URL": database.geturl(), "PORTAL_READY_FILE": str(ready)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(ready.exists, "the worker has not begun", seconds=90)
        yield process
    finally:
        process.kill()
        process.wait(20)


def tick() -> None:
    """Put the tick into the broker, as beat does."""
    with pytest.warns(AlwaysEagerIgnored):
        app.send_task("alerts.tasks.dispatch_notifications")


def log() -> list[tuple[str, int]]:
    return list(Notification.objects.order_by("id").values_list("outcome", "attempts"))


def taken_over() -> bool:
    """Tick until somebody has the channel: what the broker handed to the dead worker's connection is lost."""
    if leases.due_channels(at=timezone.now()):
        tick()
    return {row[0] for row in log()} == {"sent"}


def test_what_a_killed_worker_was_sending_is_sent_again_by_the_next(
    receiver: Receiver, tmp_path: Path
) -> None:
    make_route(make_channel(receiver.url(), timeout_seconds=30), group_by=["..."])
    fire()
    fire()
    receiver.hang.set()
    with worker(tmp_path) as first:
        tick()
        until(lambda: receiver.requests, "the worker has sent nothing")
        os.kill(first.pid, signal.SIGKILL)
        assert first.wait(20) == -signal.SIGKILL
    assert log() == [("pending", 0), ("pending", 0)]
    assert leases.due_channels(at=timezone.now()) == []  # the dead one's lease still runs
    Channel.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    receiver.hang.clear()
    receiver.released.set()
    with worker(tmp_path):
        until(taken_over, "the second worker has not taken over")
    assert log() == [("sent", 2), ("sent", 1)]
    cut_off, other = (request.body for request in receiver.requests[1:])
    assert receiver.requests[0].body == cut_off != other
    answers = Notification.objects.order_by("id").values_list("answer", flat=True)
    assert [attempts.CUT_OFF in answer for answer in answers] == [True, False]
