"""Counts API requests by consumer, in one histogram that Prometheus stores and the analytics page reads."""

from prometheus_client import Histogram

from portal.core import sanitize
from portal.core.request_context import Actor

COUNTED = "/api/"
# Each consumer costs a few dozen series; consumers beyond this number share one label.
MOST_CONSUMERS = 500
OTHERS = "others"

SECONDS = Histogram(
    "portal_api_request_seconds",
    "Duration of API requests, by consumer.",
    ["consumer", "status"],
    buckets=(0.05, 0.25, 1, 5),
)
_known: set[str] = set()


def observe(path: str, actor: Actor, status: int, seconds: float) -> None:
    """Count one answered request; requests for pages and metrics are not counted."""
    if path.startswith(COUNTED):
        SECONDS.labels(_bounded(name_of(actor)), f"{status // 100}xx").observe(seconds)


def name_of(actor: Actor) -> str:
    """Return `token NAME of USER`, `user USER` or `anonymous`."""
    if actor.type == "anonymous":
        return actor.type
    token = next((role.removeprefix("token:") for role in actor.roles if role.startswith("token:")), "")  # fmt: skip
    said = f"token {token} of {actor.name}" if token else f"{actor.type} {actor.name}"
    return sanitize.line(said, 200)


def _bounded(name: str) -> str:
    if name not in _known:
        if len(_known) >= MOST_CONSUMERS:
            return OTHERS
        _known.add(name)
    return name
