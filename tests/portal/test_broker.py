"""A worker whose connection to Redis was closed under a message goes on instead of ending."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from kombu import Connection, Queue
from kombu.transport import redis as transport

from portal import broker

log = logging.getLogger(__name__)


@pytest.fixture
def connection() -> Iterator[Connection]:
    broker.install()
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    with Connection(settings.CELERY_BROKER_URL, transport_options=options) as made:
        yield made


def received(connection: Connection) -> Any:
    """Return a message that is taken and not yet acknowledged."""
    channel = connection.default_channel
    queue = Queue("test-broker", channel=channel)
    queue.declare()
    connection.Producer(channel).publish({"n": 1}, routing_key="test-broker")
    message = queue.get(no_ack=False)
    assert message is not None
    return message


def test_every_connection_has_our_channel(connection: Connection) -> None:
    assert isinstance(connection.default_channel, broker.Channel)
    assert transport.Transport.Channel is broker.Channel


def test_a_task_that_is_done_after_its_connection_was_closed_is_logged(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    message, errors = received(connection), connection.connection_errors
    message.channel.close()
    message.channel._disconnect_pools()  # which its last attempt to give messages back had opened
    message.ack_log_error(log, errors)
    assert "Couldn't ack" in caplog.text


def test_what_cannot_be_given_back_ends_nothing(connection: Connection) -> None:
    received(connection)
    connection.default_channel.connection.client = None  # as a lost connection leaves it
    connection.release()
    assert not connection.connected
