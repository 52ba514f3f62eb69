"""Admin for the audit trail: read, filter and search, but never change."""

from typing import Any
from urllib.parse import urlencode

from auditlog.models import LogEntry
from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display

from audit import admin_saved_filters, filters, taxonomy
from audit.changelist import TrailChangeList
from audit.export_models import SavedFilter
from audit.models import AuditEntry
from portal.core.links import logs_url, trace_url

__all__ = ["AuditEntryAdmin", "admin_saved_filters"]  # imported to register their models
# Its rows are moved into the trail (audit/receivers.py), so its list would always be empty.
if admin.site.is_registered(LogEntry):
    admin.site.unregister(LogEntry)

ALWAYS_SHOWN = {"q", "last", "group", "outcome"}
FIELDS: tuple[tuple[str | None, tuple[str, ...]], ...] = (
    (None, ("action", "code", "outcome", "reason", "recorded_at", "occurred_at", "severity")),
    (
        "Who",
        ("actor_name", "actor_type", "actor_id", "actor_roles", "impersonator_name", "impersonator_id", "auth_method",
         "auth_factors", "session_fp", "token_fp"),
    ),
    ("Target", ("target_name", "target_type", "target_id", "targets", "changes", "data")),
    (
        "Source",
        ("source_ip", "source_port", "source_ip_chain", "geo_country", "asn", "user_agent", "http_method", "url_path",
         "http_status"),
    ),
    ("References", ("shown_logs", "shown_trace", "request_id", "client_request_id")),
    (
        "Record",
        ("id", "uid", "kind", "category", "type", "schema_version", "writer_id", "writer_seq"),
    ),
)  # fmt: skip


class TrailColumns:
    """What the list and the page show of an entry."""

    @display(
        description="Outcome",
        label={"success": "success", "failure": "danger", "unknown": "warning"},
    )
    def shown_outcome(self, entry: AuditEntry) -> str:
        return entry.outcome

    @display(description="Trace id")
    def shown_trace(self, entry: AuditEntry) -> str:
        url = trace_url(entry.trace_id)
        if not url:
            return entry.trace_id or "—"
        return format_html('<a href="{}" rel="noopener">{}</a>', url, entry.trace_id)

    @display(description="Log lines")
    def shown_logs(self, entry: AuditEntry) -> str:
        around = logs_url(entry.occurred_at)
        if not around:
            return "—"
        if not entry.request_id:
            return format_html('<a href="{}">Around this moment</a>', around)
        own = logs_url(entry.occurred_at, text=f'http.request.id:"{entry.request_id}"')
        return format_html(
            '<a href="{}">Of this request</a> · <a href="{}">around this moment</a>', own, around
        )

    @display(description="Target")
    def target(self, entry: AuditEntry) -> str:
        return entry.target_name or f"{entry.target_type} {entry.target_id}".strip() or "—"


@admin.register(AuditEntry)
class AuditEntryAdmin(TrailColumns, ModelAdmin):
    change_list_template = "audit/changelist.html"
    list_before_template = "audit/trail_bar.html"
    show_full_result_count = False
    list_per_page = 50
    list_display = (
        "recorded_at",
        "action",
        "shown_outcome",
        "actor_name",
        "target",
        "source_ip",
        "reason",
    )
    sortable_by = ()
    actions = None
    fieldsets = [(title, {"fields": names}) for title, names in FIELDS]
    readonly_fields = [name for _title, names in FIELDS for name in names]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[TrailChangeList]:
        return TrailChangeList

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        context = {**(extra_context or {}), **bar(request)}
        page: HttpResponse = super().changelist_view(request, context)
        return page

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def bar(request: HttpRequest) -> dict[str, Any]:
    """Return what is shown above the list: saved filters, the filter form, the export."""
    shown = filters.given(request.GET)
    saved = list(SavedFilter.objects.visible_to(request.user).order_by("name", "id")[:30])
    groups = [("", "Any"), *((name, name) for name in sorted(taxonomy.GROUPS))]
    if (wanted := shown.get("group", "")) and wanted not in dict(groups):
        groups.append((wanted, wanted))
    return {
        "saved_filters": saved,
        "may_save": request.user.has_perm("audit.add_savedfilter"),
        "shown_query": shown,
        "shown_query_string": urlencode({"query": urlencode(shown)}),
        "is_saved": any(row.query == shown for row in saved),
        "has_more": bool(shown.keys() - ALWAYS_SHOWN),
        "group_field": forms.Select(choices=groups).render("group", wanted),
        "export_url": _export_url(request),
    }


def _export_url(request: HttpRequest) -> str:
    """Return the URL to create an export; empty without the permission."""
    try:
        url = reverse("admin:audit_exportrecord_create")
    except NoReverseMatch:
        return ""
    return url if request.user.has_perm("audit.add_exportrecord") else ""
