"""Who follows the trail, and how far each has read: retention asks before it drops a month.

Readers belong to apps above this one; each registers how its own are found when it is loaded.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from audit.stream import Position


@dataclass(frozen=True, slots=True)
class Reader:
    """One that must have read an entry before it may go; `name` continues a sentence."""

    name: str
    position: Position


Finder = Callable[[], Iterable[Reader]]
_finders: dict[str, Finder] = {}


def register(name: str, finder: Finder) -> None:
    """Say how the readers of one kind are found. A finder takes a fixed number of statements."""
    _finders[name] = finder


def every() -> list[Reader]:
    """Return all readers that there are now."""
    return [reader for finder in _finders.values() for reader in finder()]
