"""Asks a Prometheus whether it understands an expression, and whether a rule can consist of it.

It is parsed, not evaluated: an expression that touches every series costs nothing here.
"""

from dataclasses import dataclass

from monitoring.panels import DOUBTFUL_TIMEOUT_SECONDS, default_prometheus
from monitoring.prometheus import Prometheus
from portal.core.http import Fault, UpstreamError
from portal.core.models import Upstream

ASK_SECONDS = DOUBTFUL_TIMEOUT_SECONDS
NOT_A_VECTOR = (
    "A rule needs an expression that returns an instant vector or a number. This one returns {}; put a range"
    " such as [5m] into a function, for example rate(…[5m])."
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`accepted` means a Prometheus said yes. Otherwise it objected, or nobody could be asked (`unasked`)."""

    accepted: bool = False
    objection: str = ""
    unasked: str = ""
    formatted: str = ""
    is_scalar: bool = False


def examine(expr: str, upstream: Upstream | None = None) -> Verdict:
    """Return what the Prometheus `upstream`, else the first enabled one, says of `expr`."""
    server = upstream or default_prometheus()
    if server is None:
        return Verdict(unasked="No Prometheus is connected. Add one under Upstreams.")
    try:
        with Prometheus(server, timeout_seconds=ASK_SECONDS) as prometheus:
            return _examined(prometheus, expr)
    except UpstreamError as error:
        if is_objection(error):
            return Verdict(objection=str(error))
        return Verdict(unasked=str(error))


def _examined(prometheus: Prometheus, expr: str) -> Verdict:
    try:
        formatted = prometheus.format_query(expr)
    except UpstreamError as error:
        if error.fault is Fault.NOT_FOUND:
            return _evaluated(prometheus, expr)
        raise
    try:
        prometheus.format_query(f"count((\n{formatted}\n))")
    except UpstreamError as error:
        if not is_objection(error):
            raise
        for kind in ("range vector", "string"):
            if f"got {kind}" in str(error):
                return Verdict(objection=NOT_A_VECTOR.format(f"a {kind}"))
        return Verdict(accepted=True, formatted=formatted, is_scalar=True)
    return Verdict(accepted=True, formatted=formatted)


def _evaluated(prometheus: Prometheus, expr: str) -> Verdict:
    """Ask a Prometheus older than 2.40, which parses only what it evaluates."""
    data = prometheus.query(expr)
    kind = data.get("resultType") if isinstance(data, dict) else None
    if kind not in ("vector", "scalar"):
        return Verdict(objection=NOT_A_VECTOR.format(f"a {kind or 'malformed answer'}"))
    return Verdict(accepted=True, formatted=expr, is_scalar=kind == "scalar")


def is_objection(error: UpstreamError) -> bool:
    """True when the server read the expression and refused it."""
    return error.status in (400, 422)
