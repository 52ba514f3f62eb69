"""Registers, for each kind of server, how it is probed once without changing stored data.

The apps that know the kinds must not import each other, so each registers its probers when it is loaded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from portal.core.models import Upstream


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """The result of a probe: a sentence, and facts for the doctor; `failure` says what the server cannot do.

    For Alertmanager only: `has_hook` says whether its configuration contains our webhook (None if the
    configuration is not visible); `firing_since` is the start of the oldest alert that its webhook must
    have reported recently.
    """

    sentence: str
    skew_seconds: float | None = None
    failure: str = ""
    has_hook: bool | None = None
    firing_since: datetime | None = None


Prober = Callable[[Upstream], ProbeAnswer]
_PROBERS: dict[str, Prober] = {}


def register(kind: str, prober: Prober) -> None:
    """Register the prober for servers of `kind`. It must not use the database, and raises UpstreamError."""
    _PROBERS[kind] = prober


def prober_of(kind: str) -> Prober | None:
    return _PROBERS.get(kind)
