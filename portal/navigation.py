"""Builds the sidebar, in the order in which its pages are used during a working day.

An entry appears only if its model is registered in the admin and the account may see it, so that
there are no dead links.
"""

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

# Pages that belong to no model, each with the permission it requires.
PAGES: dict[str, str] = {
    "admin:timeline": "alerts.view_alert",
    "admin:alert_analytics": "alerts.view_alert",
    "admin:traffic": "monitoring.view_panel",
    "admin:consumers": "monitoring.view_panel",  # linked from the page above
    "admin:logs": "monitoring.view_panel",
    "admin:doctor": "core.change_upstream",
}

# Group title, then (title, icon, model or page). The icons are names of Material Symbols.
GROUPS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "Operate",
        (
            ("Timeline", "timeline", "admin:timeline"),
            ("Alerts", "notifications_active", "alerts.Alert"),
            ("Silences", "notifications_off", "alerts.Silence"),
            ("Deliveries", "outgoing_mail", "alerts.Notification"),
            ("Errors", "bug_report", "monitoring.ErrorIssue"),
            ("Services", "deployed_code", "core.Service"),
            ("Checks", "network_check", "monitoring.Check"),
            ("Targets", "radar", "monitoring.Target"),
            ("Deploys", "rocket_launch", "monitoring.Deploy"),
            ("Logs", "receipt_long", "admin:logs"),
            ("Alert analytics", "bar_chart", "admin:alert_analytics"),
            ("API analytics", "query_stats", "admin:traffic"),
        ),
    ),
    (
        "Protect",
        (
            ("Flags", "flag", "security.Flag"),
            ("Blocks", "block", "security.Block"),
            ("Allow-list", "verified_user", "security.AllowEntry"),
            ("Detection rules", "policy", "security.RuleSetting"),
        ),
    ),
    (
        "Configure",
        (
            ("Charts", "monitoring", "monitoring.Panel"),
            ("Alert rules", "rule", "monitoring.Rule"),
            ("Scrape targets", "my_location", "monitoring.ScrapeTarget"),
            ("Upstreams", "cloud_sync", "core.Upstream"),
            ("Doctor", "stethoscope", "admin:doctor"),
            ("Channels", "campaign", "alerts.Channel"),
            ("Routes", "alt_route", "alerts.Route"),
        ),
    ),
    (
        "Govern",
        (
            ("Audit trail", "history_edu", "audit.AuditEntry"),
            ("Saved filters", "filter_alt", "audit.SavedFilter"),
            ("Exports", "file_save", "audit.ExportRecord"),
            ("SIEM", "outbox", "security.SiemDestination"),
            ("API tokens", "key", "security.ApiToken"),
            ("Users", "group", "auth.User"),
            ("Groups", "shield_person", "auth.Group"),
        ),
    ),
)


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Return unfold's navigation for this account."""
    overview = {"title": "Dashboard", "icon": "space_dashboard", "link": reverse("admin:index")}
    groups: list[dict[str, Any]] = [{"items": [overview]}]
    for title, entries in GROUPS:
        items = [
            {"title": name, "icon": icon, "link": link}
            for name, icon, label in entries
            if (link := _link(request, label))
        ]
        if items:
            groups.append({"title": title, "separator": True, "items": items})
    return groups


def _link(request: HttpRequest, label: str) -> str:
    """Return the URL of a page or changelist; empty when this account may not see it."""
    if label in PAGES:
        return reverse(label) if request.user.has_perm(PAGES[label]) else ""
    model = apps.get_model(label)
    if not admin.site.is_registered(model):
        return ""
    if not admin.site.get_model_admin(model).has_view_or_change_permission(request):
        return ""
    meta = model._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
