"""Renders the dashboard in the admin: the index page, and the part of it that refreshes itself."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse

from monitoring.errors.summary import rectangles
from portal.dashboard import Dashboard, dashboard

RANGES: tuple[tuple[str, str, int], ...] = (
    ("15m", "15 minutes", 15 * 60),
    ("1h", "1 hour", 3600),
    ("6h", "6 hours", 6 * 3600),
    ("24h", "24 hours", 24 * 3600),
    ("7d", "7 days", 7 * 24 * 3600),
)
DEFAULT_RANGE = "1h"


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the dashboard to the context of the admin's index (unfold's DASHBOARD_CALLBACK)."""
    return {**context, **_live(request), "ranges": RANGES, "default_range": DEFAULT_RANGE}


def live(request: HttpRequest) -> HttpResponse:
    """Return only the part of the page with the numbers, which replaces the one shown."""
    return render(request, "portal/dashboard_live.html", _live(request))


def _live(request: HttpRequest) -> dict[str, Any]:
    now = dashboard()
    return {
        "title": "Dashboard",
        "dashboard": now,
        "attention": attention(now),
        "error_bars": rectangles(now.errors.trend),
        "links": {name: link(view) for name, view in LINKS.items()},
        "may_configure": request.user.has_perm("core.add_upstream"),
    }


LINKS = {
    "flags": "admin:security_flag_changelist",
    "alerts": "admin:alerts_alert_changelist",
    "silences": "admin:alerts_silence_changelist",
    "errors": "admin:monitoring_errorissue_changelist",
    "services": "admin:core_service_changelist",
    "upstreams": "admin:core_upstream_changelist",
    "add_upstream": "admin:core_upstream_add",
    "panels": "admin:monitoring_panel_changelist",
    "add_panel": "admin:monitoring_panel_add",
}


def link(view: str) -> str:
    """Return the URL of an admin page; empty when this portal does not have it."""
    try:
        return reverse(view)
    except NoReverseMatch:
        return ""


def attention(now: Dashboard) -> str:
    """Return a one-sentence summary of the page, which screen readers read out when it changes."""
    if now.alerts_sight.is_blind:
        return "Alerts cannot be seen."
    worst = next((count for count in now.severities if count.firing), None)
    if worst is None:
        return "Nothing is firing."
    severity = "without severity" if worst.severity.lower() in ("", "none") else worst.severity
    if now.firing == 1:
        return f"1 alert is firing, {severity}."
    return f"{now.firing} alerts are firing, {worst.firing} of them {severity}."
