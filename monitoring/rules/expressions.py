"""Lets a Prometheus check that an expression is valid, and usable in a rule.

The expression is parsed, not evaluated, so that one that selects every series costs nothing here.
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
    """`accepted`: a Prometheus accepted it. Otherwise it reported an error, or none was available (`unasked`)."""

    accepted: bool = False
    objection: str = ""
    unasked: str = ""
    formatted: str = ""
    is_scalar: bool = False


def examine(expr: str, upstream: Upstream | None = None) -> Verdict:
    """Return the verdict on `expr` of the Prometheus `upstream`, or of the first enabled one."""
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
    """Ask a Prometheus older than 2.40, which can only parse an expression by evaluating it."""
    data = prometheus.query(expr)
    kind = data.get("resultType") if isinstance(data, dict) else None
    if kind not in ("vector", "scalar"):
        return Verdict(objection=NOT_A_VECTOR.format(f"a {kind or 'malformed answer'}"))
    return Verdict(accepted=True, formatted=expr, is_scalar=kind == "scalar")


def is_objection(error: UpstreamError) -> bool:
    """True when the server parsed the expression and rejected it."""
    return error.status in (400, 422)
