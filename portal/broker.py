"""Lets a worker outlive a restart of Redis: kombu 5.7 dies of it when a task is done at the wrong moment.

A message that is acknowledged, or given back, after its connection was closed makes kombu look for
the address of a connection that is gone. That is an AttributeError, which ends the worker; as the
lost connection it is, it is logged, and the worker connects again.
"""

from typing import Any

from kombu.transport import redis as transport
from redis.exceptions import ConnectionError as RedisConnectionError


class Channel(transport.Channel):
    """A channel that says so when its connection is closed."""

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("The connection to Redis was closed.")
        return super()._connparams(asynchronous=asynchronous)


def install() -> None:
    """Make it the channel of every connection of this process."""
    transport.Transport.Channel = Channel
