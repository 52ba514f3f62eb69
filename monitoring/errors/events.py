"""Renders the latest event of an issue as a short stack trace (pure); the JSON may be hostile.

https://docs.sentry.io/api/events/retrieve-an-issue-event/
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from portal.core import sanitize

MAX_FRAMES = 30
MAX_EXCEPTIONS = 5
SHOWN_TAGS = 20
_TRACE = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Frame:
    file: str
    function: str
    line: str
    code: str
    in_app: bool


@dataclass(frozen=True, slots=True)
class Raised:
    type: str
    value: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """Exceptions, innermost first; each with its frames, beginning with the one that raised it."""

    id: str
    created_at: str
    message: str
    exceptions: tuple[Raised, ...]
    tags: tuple[tuple[str, str], ...]
    trace_id: str = ""


def latest(decoded: Any) -> Event:
    event = decoded if isinstance(decoded, dict) else {}
    exceptions = [
        _raised(value)
        for entry in _objects(event.get("entries"))
        if entry.get("type") == "exception"
        for value in _objects(_of(entry, "data").get("values"))
    ]
    tags = [
        (sanitize.line(tag.get("key", ""), 60), sanitize.line(tag.get("value", ""), 200))
        for tag in _objects(event.get("tags"))
    ]
    return Event(
        id=sanitize.line(event.get("eventID") or "", 64),
        created_at=sanitize.line(event.get("dateCreated") or "", 40),
        message=sanitize.text(event.get("message") or event.get("title") or "", 1000),
        exceptions=tuple(reversed(exceptions[-MAX_EXCEPTIONS:])),
        tags=tuple(tags[:SHOWN_TAGS]),
        trace_id=_trace_of(event),
    )


def _trace_of(event: dict[str, Any]) -> str:
    """Return the id of the trace in which the error occurred; empty when the event has none."""
    found = _of(_of(event, "contexts"), "trace").get("trace_id")
    return found if isinstance(found, str) and _TRACE.fullmatch(found) else ""


def _raised(value: dict[str, Any]) -> Raised:
    frames = [_frame(frame) for frame in _objects(_of(value, "stacktrace").get("frames"))]
    return Raised(
        type=sanitize.line(value.get("type") or "", 200),
        value=sanitize.text(value.get("value") or "", 1000),
        frames=tuple(reversed(frames[-MAX_FRAMES:])),
    )


def _frame(frame: dict[str, Any]) -> Frame:
    number = frame.get("lineNo")
    return Frame(
        file=sanitize.line(frame.get("filename") or frame.get("module") or "", 300),
        function=sanitize.line(frame.get("function") or "", 200),
        line=str(number) if isinstance(number, int) else "",
        code=next(_code(frame.get("context"), number), ""),
        in_app=frame.get("inApp") is True,
    )


def _code(context: Any, number: Any) -> Iterator[str]:
    """Yield the source line of a frame, from its [[number, text], …]."""
    for pair in context if isinstance(context, list) else []:
        if isinstance(pair, list) and len(pair) == 2 and pair[0] == number:
            yield sanitize.line(pair[1], 300)


def _of(thing: dict[str, Any], name: str) -> dict[str, Any]:
    found = thing.get(name)
    return found if isinstance(found, dict) else {}


def _objects(things: Any) -> Iterator[dict[str, Any]]:
    return (
        (thing for thing in things if isinstance(thing, dict))
        if isinstance(things, list)
        else iter(())
    )
