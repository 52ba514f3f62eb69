"""Keeps sliding windows: the latest events of each key, limited in time, length and number of keys."""

from collections import deque
from collections.abc import Callable, Hashable

from security.rules.events import Event

MAX_KEYS = 50_000
MAX_EVENTS = 1_000


class Windows:
    """The events of the last `seconds` for each key.

    The least recently used key is evicted for a new one, so that an attacker with many addresses
    cannot fill the memory.
    """

    def __init__(self, seconds: float, *, max_keys: int = MAX_KEYS) -> None:
        self.seconds = seconds
        self._max_keys = max_keys
        self._events: dict[Hashable, deque[Event]] = {}

    def add(self, key: Hashable, event: Event) -> deque[Event]:
        """Add `event` to `key`, and return the key's events that are still in the window."""
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
    """Count how often each value occurs among the events, without empty ones."""
    counts: dict[str, int] = {}
    for event in events:
        if value := of(event):
            counts[value] = counts.get(value, 0) + 1
    return counts
