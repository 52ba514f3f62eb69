"""Lets a worker survive a restart of Redis: kombu 5.7 crashes if a task ends at the wrong moment.

When a message is acknowledged or requeued after its connection was closed, kombu looks up the address
of a connection that no longer exists. The AttributeError ends the worker. Raised as a connection error
instead, it is logged, and the worker reconnects.
"""

from typing import Any

from kombu.transport import redis as transport
from redis.exceptions import ConnectionError as RedisConnectionError


class Channel(transport.Channel):
    """A channel that raises a connection error when its connection is closed."""

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("The connection to Redis was closed.")
        return super()._connparams(asynchronous=asynchronous)


def install() -> None:
    """Use this channel for every connection of the process."""
    transport.Transport.Channel = Channel
