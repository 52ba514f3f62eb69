"""Previews what a rule would do now: the series it would fire for, with labels and annotations filled in.

It requests the number of series first, and fetches at most PREVIEWED of them, so that an expression with
too many series does not transfer megabytes.
"""

from dataclasses import dataclass
from typing import Any

from monitoring.models import Rule
from monitoring.panels import default_prometheus
from monitoring.prometheus import CHART_TIMEOUT_SECONDS, Prometheus
from monitoring.rules import expressions
from monitoring.rules.services import exported
from monitoring.rules.templates import is_rendered, render
from portal.core import sanitize
from portal.core.http import UpstreamError
from portal.core.models import Upstream

EXPLODES = 1000
PREVIEWED = 50


@dataclass(frozen=True, slots=True)
class Firing:
    """One alert as it would be sent once `for` has passed."""

    labels: dict[str, str]
    annotations: dict[str, str]
    value: str


@dataclass(frozen=True, slots=True)
class Preview:
    """`error` says why there is nothing to show; `warning` what to consider before saving."""

    count: int = 0
    firing: tuple[Firing, ...] = ()
    warning: str = ""
    note: str = ""
    error: str = ""
    upstream: str = ""


def preview(rule: Rule) -> Preview:
    """Run the expression of `rule`, which need not be saved."""
    server = rule.upstream or default_prometheus()
    verdict = expressions.examine(rule.expr, server)
    if not verdict.accepted or server is None:
        return Preview(
            error=verdict.objection or verdict.unasked, upstream=server.name if server else ""
        )
    try:
        count, samples = _samples(server, verdict)
    except UpstreamError as error:
        return Preview(error=str(error), upstream=server.name)
    file = exported(rule)
    firing = tuple(_firing(rule.name, file.labels, file.annotations, s) for s in samples)
    texts = [*file.labels.values(), *file.annotations.values()]
    note = (
        ""
        if all(map(is_rendered, texts))
        else "Some templates are shown as written: only Prometheus can fill them in."
    )
    return Preview(count, firing, _warning(count), note, "", server.name)


def _samples(server: Upstream, verdict: expressions.Verdict) -> tuple[int, list[Any]]:
    expr = verdict.formatted
    with Prometheus(server, timeout_seconds=CHART_TIMEOUT_SECONDS) as prometheus:
        if verdict.is_scalar:
            return 1, [{"metric": {}, "value": _result(prometheus.query(expr))}]
        count = _count(_result(prometheus.query(f"count((\n{expr}\n))")))
        if count > PREVIEWED:
            expr = f"topk({PREVIEWED}, (\n{expr}\n))"
        found = _result(prometheus.query(expr))
    return count, found[:PREVIEWED] if isinstance(found, list) else []


def _result(data: Any) -> Any:
    return data.get("result") if isinstance(data, dict) else None


def _count(result: Any) -> int:
    """Return the number of series; 0 when there are none, or the answer is not a number."""
    try:
        return max(int(float(_value(result[0]))), 0) if isinstance(result, list) and result else 0
    except (ValueError, OverflowError):
        return 0


def _value(sample: Any) -> str:
    try:
        return str(sample["value"][1])
    except (KeyError, IndexError, TypeError):
        return "NaN"


def _firing(name: str, labels: Any, annotations: Any, sample: Any) -> Firing:
    """Return the alert for one sample: labels of the rule override those of the series."""
    metric = sample.get("metric") if isinstance(sample, dict) else None
    labelled = metric if isinstance(metric, dict) else {}
    series = {k: str(v) for k, v in labelled.items() if k != "__name__"}
    value = sanitize.line(_value(sample), 60)

    def filled(texts: Any) -> dict[str, str]:
        return {key: render(text, series, value) for key, text in texts.items()}

    whole = {**series, **filled(labels), "alertname": name}
    return Firing(
        sanitize.json(whole, limit=1000), sanitize.json(filled(annotations), limit=4000), value
    )


def _warning(count: int) -> str:
    if count == 0:
        return "Nothing matches now, so nothing would fire. Check that the metric exists, and the threshold."
    if count > EXPLODES:
        return (
            f"Too many results: {count} series match, and each would be an alert of its own. Add matchers, or"
            " aggregate, for example with sum by (service) (…)."
        )
    return ""
