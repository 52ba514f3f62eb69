"""The stream of the trail: nothing is skipped, nothing comes twice, whatever order commits take."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from audit import services, stream
from audit.stream import Position
from tests import streams

pytestmark = pytest.mark.django_db(transaction=True)


def _all_after(position: Position, batch: int = 3) -> tuple[list[int], Position]:
    """Read to the horizon in small batches; return the ids and the last position."""
    streams.settled()
    before, found = stream.horizon(), []
    while entries := stream.read(position, before, limit=batch):
        found += [entry.pk for entry in entries]
        position = stream.position_of(entries[-1])
    return found, position


def test_entries_come_in_order_and_once() -> None:
    start = streams.start()
    wanted = [services.record("config.changed").pk for _ in range(7)]
    found, position = _all_after(start)
    assert found == wanted
    assert _all_after(position)[0] == []


def test_what_a_slow_transaction_wrote_first_is_not_skipped() -> None:
    start = streams.start()
    written, release = threading.Event(), threading.Event()

    def slow() -> int:
        try:
            with transaction.atomic():
                made = services.record("config.changed").pk
                written.set()
                assert release.wait(20)
            return made
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(slow)
        assert written.wait(20)
        later = services.record("config.changed").pk
        before = stream.horizon()
        first = [entry.pk for entry in stream.read(start, before, limit=9)]
        release.set()
        early = future.result()
    second, _ = _all_after(before)
    assert early < later
    assert first == []
    assert sorted(second) == [early, later]


def test_only_wanted_actions_since_a_moment_are_read() -> None:
    start = streams.start()
    services.record("config.changed")
    wanted = services.record("secret.viewed")
    wanted.refresh_from_db()
    streams.settled()
    before = stream.horizon()
    found = stream.read(start, before, limit=9, actions=["secret.viewed"])
    assert [entry.pk for entry in found] == [wanted.pk]
    assert stream.read(start, before, limit=9, since=wanted.recorded_at)[0].pk == wanted.pk


def test_many_writers_lose_nothing() -> None:
    start, made = streams.start(), []

    def writer(number: int) -> None:
        try:
            for turn in range(10):
                with transaction.atomic():
                    made.append(services.record("config.changed").pk)
                    if (number + turn) % 7 == 0:
                        made.append(services.record("secret.viewed").pk)
        finally:
            connection.close()

    found, position = [], start
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(writer, number) for number in range(4)]
        while not all(future.done() for future in running):
            for entry in stream.read(position, stream.horizon(), limit=7):
                found.append(entry.pk)
                position = stream.position_of(entry)
        [future.result() for future in running]
    found += _all_after(position)[0]
    assert sorted(found) == sorted(made)
