"""Prints one line per event: the name of a part, then what happened to it."""

import sys
import time
from collections.abc import Callable

Say = Callable[[str, str], None]
NAME_WIDTH = 16


def say(name: str, sentence: str) -> None:
    """Print one line; a closed terminal must not prevent the parts from being stopped."""
    try:
        print(f"  {name:<{NAME_WIDTH}}{sentence}", flush=True)
    except OSError:
        sys.stdout = sys.__stderr__


def plain(sentence: str = "") -> None:
    try:
        print(sentence, flush=True)
    except OSError:
        sys.stdout = sys.__stderr__


def since(started: float) -> str:
    """Return the time since `started` (from `time.monotonic()`) as text."""
    return f"{time.monotonic() - started:.1f} s"
