"""The rules over a stream of events, and what the gate adds to a request."""

import random
import statistics
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import redis
from django.conf import settings
from django.test import Client, RequestFactory

from portal.core import request_context
from security import gate, gate_store, tokens
from security.rules.engine import RULES, Engine
from security.rules.events import Event, Kind
from tests.bench.table import Row, seconds
from tests.factories import make_user

EVENTS, REQUESTS = 50_000, 500
PATH = "/api/v1/alerts/"


def measure() -> Iterator[Row]:
    events = _events()
    taken = seconds(lambda: _feed(events))
    yield Row(
        f"rules engine over {EVENTS:,} events of all kinds", f"{taken * 1000:.0f} ms", "", EVENTS / taken, 5000,
        "events/s", True,
    )  # fmt: skip
    yield from _gate()


def _events() -> list[Event]:
    """Return a day of events: some addresses attack, most are quiet."""
    dice, kinds = random.Random(7), list(Kind)
    return [
        Event(
            n, n * 86_400 / EVENTS, dice.choice(kinds),
            f"198.51.{dice.randrange(8)}.{int(dice.paretovariate(0.5)) % 250}",
            f"user:{dice.randrange(400)}", "somebody", str(dice.randrange(50)), "curl", dice.choice((200, 403, 404)),
            f"/{dice.randrange(900)}/",
        )
        for n in range(EVENTS)
    ]  # fmt: skip


def _feed(events: list[Event]) -> None:
    rules = Engine({rule.id: rule.defaults for rule in RULES.values()})
    for event in events:
        rules.feed(event)


def _gate() -> Iterator[Row]:
    written = tokens.create(user=make_user(), name="bench", scopes=["read"])[1]
    request = RequestFactory().get(
        PATH, headers={"Authorization": f"Bearer {written}"}, REMOTE_ADDR="192.0.2.7"
    )
    gate_store.write()
    times = []
    with request_context.use(request_context.from_request(request)):
        for _ in range(REQUESTS):
            began = time.perf_counter()
            gate.ask(gate.question_of(request))
            times.append(time.perf_counter() - began)
    middle = statistics.median(times)
    server = redis.Redis.from_url(settings.REDIS_URL)
    ping = statistics.median(seconds(server.ping) for _ in range(REQUESTS))
    yield Row(
        "block, allow-list, limit and token of a request", f"{middle * 1000:.2f} ms", f"{ping * 1000:.2f} ms PING",
        middle * 1000, 1, "ms",
    )  # fmt: skip
    trips = _round_trips(Client(headers={"Authorization": f"Bearer {written}"}))
    yield Row("  round trips to Redis of a whole request", str(trips), "", trips, 1, "trips")


def _round_trips(client: Client) -> int:
    connection: Any = redis.connection.AbstractConnection
    send, trips = connection.send_packed_command, []

    def counted(self: Any, command: Any, *args: Any, **kwargs: Any) -> Any:
        trips.append(command)
        return send(self, command, *args, **kwargs)

    client.get(PATH)  # the token's client becomes known
    with mock.patch.object(connection, "send_packed_command", counted):
        assert client.get(PATH).status_code == 200
    return len(trips)
