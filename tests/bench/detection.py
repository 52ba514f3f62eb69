"""The rules over a stream of events, and what the gate adds to a request."""

import random
import statistics
from collections.abc import Iterator
from functools import partial
from typing import Any
from unittest import mock

import redis
from django.conf import settings
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.utils.module_loading import import_string

from security import gate_store, tokens
from security.rules.engine import RULES, Engine
from security.rules.events import Event, Kind
from tests.bench.table import Row, seconds
from tests.factories import make_session, make_user

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


# What stands between a request and its view because of us: who asks, session, block, limit, token.
CHAIN = (
    "portal.core.request_context.RequestContextMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "security.identity.UserMiddleware",
    "security.identity.FactorMiddleware",
    "security.sessions.SessionLifetimeMiddleware",
    "security.suspicion.SuspicionMiddleware",
    "security.gate.GateMiddleware",
)


def _gate() -> Iterator[Row]:
    written = tokens.create(user=make_user(), name="bench", scopes=["read"])[1]
    gate_store.write()
    server = redis.Redis.from_url(settings.REDIS_URL)
    ping = statistics.median(seconds(server.ping) for _ in range(REQUESTS))
    headers = {"Authorization": f"Bearer {written}"}
    session = {"HTTP_COOKIE": f"{settings.SESSION_COOKIE_NAME}={make_session(make_user())}"}
    for who, facts in (("a token", {"headers": headers}), ("a session", session)):
        taken = _through_chain(facts)
        yield Row(
            f"context, session, block and limit of a request with {who}", f"{taken * 1000:.2f} ms",
            f"{ping * 1000:.2f} ms PING", taken * 1000, 1, "ms",
        )  # fmt: skip
    trips = _round_trips(Client(headers=headers))
    yield Row("  round trips to Redis of a whole request", str(trips), "", trips, 1, "trips")


def _through_chain(facts: dict[str, Any]) -> float:
    """Return the median seconds that the chain adds to a view that does nothing."""
    chain: Any = lambda _request: HttpResponse()  # noqa: E731
    for name in reversed(CHAIN):
        chain = import_string(name)(chain)
    times = []
    for _ in range(REQUESTS):
        request = RequestFactory().get(PATH, REMOTE_ADDR="192.0.2.7", **facts)
        times.append(seconds(partial(chain, request)))
    return statistics.median(times)


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
