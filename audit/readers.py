"""Registers the readers of the trail and how far each has read; retention checks it before it drops a month.

Readers belong to apps above this one; each app registers a finder for its own when it is loaded.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from audit.stream import Position


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader that must have read an entry before it is deleted; `name` is used within a sentence."""

    name: str
    position: Position


Finder = Callable[[], Iterable[Reader]]
_finders: dict[str, Finder] = {}


def register(name: str, finder: Finder) -> None:
    """Register a finder for one kind of readers. It must use a fixed number of statements."""
    _finders[name] = finder


def every() -> list[Reader]:
    """Return all current readers."""
    return [reader for finder in _finders.values() for reader in finder()]
