"""Sliding windows: the latest events of each key, bounded in time, length and number of keys."""

from collections import deque
from collections.abc import Callable, Hashable

from security.rules.events import Event

MAX_KEYS = 50_000
MAX_EVENTS = 1_000


class Windows:
    """The events of the last `seconds` for each key.

    A key that was not touched for longest makes place for a new one, so an attacker with many
    addresses cannot fill the memory.
    """

    def __init__(self, seconds: float, *, max_keys: int = MAX_KEYS) -> None:
        self.seconds = seconds
        self._max_keys = max_keys
        self._events: dict[Hashable, deque[Event]] = {}

    def add(self, key: Hashable, event: Event) -> deque[Event]:
        """Put `event` under `key` and return the key's events that are still in the window."""
        events = self._events.pop(key, None)
        if events is None:
            events = deque(maxlen=MAX_EVENTS)
            if len(self._events) >= self._max_keys:
                del self._events[next(iter(self._events))]
        self._events[key] = events
        events.append(event)
        self._prune(events, event.at)
        return events

    def get(self, key: Hashable, *, at: float) -> deque[Event]:
        """Return the key's events that are in the window that ends `at`."""
        events = self._events.get(key)
        if events is None:
            return deque()
        self._prune(events, at)
        return events

    def drop(self, key: Hashable) -> None:
        self._events.pop(key, None)

    def _prune(self, events: deque[Event], at: float) -> None:
        oldest = at - self.seconds
        while events and events[0].at < oldest:
            events.popleft()


def distinct(events: deque[Event], of: Callable[[Event], str]) -> dict[str, int]:
    """Return how often each value occurs among the events; empty ones are left out."""
    counts: dict[str, int] = {}
    for event in events:
        if value := of(event):
            counts[value] = counts.get(value, 0) + 1
    return counts
