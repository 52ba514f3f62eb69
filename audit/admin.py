"""The audit trail in the admin: to read and to search, never to change."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display

from audit.models import AuditEntry
from portal.core.links import trace_url
from portal.core.paginator import CappedPaginator


class ActorTypeFilter(admin.SimpleListFilter):
    """The kinds of actors; asking the table for its distinct values would read all of it."""

    title = "actor"
    parameter_name = "actor_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            (name, name.capitalize())
            for name in ("user", "token", "service", "system", "anonymous")
        ]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry]
    ) -> QuerySet[AuditEntry]:
        return queryset.filter(actor_type=self.value()) if self.value() else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(ModelAdmin):
    paginator = CappedPaginator
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
    list_filter = ("outcome", ActorTypeFilter)
    search_fields = ("=action", "=actor_name", "=target_id", "=request_id")
    search_help_text = "Exactly: an action, an actor, an object's number or a request id"
    ordering = ("-recorded_at",)
    fields = [
        "shown_trace" if field.name == "trace_id" else field.name
        for field in AuditEntry._meta.fields
    ]
    readonly_fields = fields

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

    @display(description="Target")
    def target(self, entry: AuditEntry) -> str:
        return entry.target_name or f"{entry.target_type} {entry.target_id}".strip() or "—"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
