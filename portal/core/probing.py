"""A registry of how a server of each kind is probed once, without changing stored data.

The apps that know the kinds may not import each other, so each registers its own when it is loaded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from portal.core.models import Upstream


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """The result of a probe: a sentence, and facts to judge; `failure` says what the server cannot do.

    For Alertmanager only: `has_hook` is whether its configuration names our webhook (None when it is not
    visible), `firing_since` when the oldest alert began that its webhook must have reported lately.
    """

    sentence: str
    skew_seconds: float | None = None
    failure: str = ""
    has_hook: bool | None = None
    firing_since: datetime | None = None


Prober = Callable[[Upstream], ProbeAnswer]
_PROBERS: dict[str, Prober] = {}


def register(kind: str, prober: Prober) -> None:
    """Register how servers of `kind` are probed. A prober reads no database, and raises UpstreamError."""
    _PROBERS[kind] = prober


def prober_of(kind: str) -> Prober | None:
    return _PROBERS.get(kind)
