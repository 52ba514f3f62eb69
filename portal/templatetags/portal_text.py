"""Template tags that format numbers and times as text, and give CSS classes for severities."""

from datetime import datetime

from django import template
from django.db import models
from django.db.models.options import Options
from django.urls import NoReverseMatch
from django.utils import timezone

from monitoring import grafana
from portal import empty_lists
from portal.core.links import logs_url
from portal.core.models import Service, Upstream
from portal.sight import Source, source_of

register = template.Library()

_SEVERITY_CLASSES = {
    "page": "sev-critical",
    "emergency": "sev-critical",
    "critical": "sev-critical",
    "fatal": "sev-critical",
    "error": "sev-critical",
    "high": "sev-critical",
    "major": "sev-critical",
    "warning": "sev-warning",
    "minor": "sev-warning",
    "info": "sev-info",
    "notice": "sev-info",
}


@register.simple_tag
def empty_list(opts: "Options[models.Model]") -> tuple[str, str]:
    """Return heading and sentence for an empty list."""
    return empty_lists.SENTENCES.get(opts.label, empty_lists.NOTHING)


@register.filter
def severity_class(severity: str) -> str:
    return _SEVERITY_CLASSES.get(str(severity).lower(), "sev-other")


@register.filter
def severity_word(severity: str) -> str:
    return "no severity" if str(severity).lower() in ("", "none") else str(severity)


@register.filter
def age(moment: datetime | None, at: datetime) -> str:
    """Return how long ago `moment` was, in one or two units: "12 s", "5 min", "3 h 20 min", "4 d"."""
    return "never" if moment is None else lasting((at - moment).total_seconds())


@register.filter
def lasting(length: float) -> str:
    """Return a duration, given in seconds, in one or two units."""
    seconds = max(0, int(length))
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        rest = minutes % 60
        return f"{hours} h {rest} min" if rest and hours < 6 else f"{hours} h"
    return f"{days} d"


@register.filter
def grouped(number: float) -> str:
    """Return a count with its thousands separated."""
    return f"{number:,.0f}"


@register.filter
def seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


@register.filter
def percent(ratio: float) -> str:
    """Return "0 %", "0.3 %", "12 %"."""
    number = ratio * 100
    return f"{number:.0f} %" if number == 0 or number >= 10 else f"{number:.2g} %"


@register.filter
def percent_change(ratio: float) -> str:
    """Return a relative change in percent with its sign; above tenfold, as a factor."""
    if ratio >= 10:
        return f"× {ratio + 1:.0f}"
    return f"{'+' if ratio >= 0 else '−'}{abs(ratio) * 100:.0f} %"


@register.filter
def admin_link(thing: models.Model) -> str:
    """Return the admin URL of `thing`; empty if it has none."""
    try:
        return str(thing.get_absolute_url())  # type: ignore[attr-defined]
    except NoReverseMatch:
        return ""


@register.filter
def freshness(upstream: Upstream) -> Source:
    return source_of(upstream, at=timezone.now())


@register.simple_tag
def logs_around(at: datetime | None, service: Service | None) -> str:
    """Return the URL of the log search around a moment, limited to the service if it is known."""
    return logs_url(at, service=service.slug if service else "") if at else ""


@register.filter
def grafana_url(slug: str) -> str:
    """Return the URL of a service in Grafana; empty without GRAFANA_URL."""
    return grafana.service_url(slug)
