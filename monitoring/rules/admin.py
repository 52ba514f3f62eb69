"""Admin for alert rules: a list with their state in Prometheus, a form with a preview, and the export."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from monitoring.models import Rule
from monitoring.rules import services
from monitoring.rules.api import file_response
from monitoring.rules.form import PreviewForm, RuleForm
from monitoring.rules.preview import preview
from portal.core.formfields import SearchedFieldsMixin
from portal.core.object_actions import post_only
from portal.core.paginator import CappedPaginator

COLOURS = {"firing": "down", "broken": "down", "pending": "degraded", "inactive": "up"}


class RuleColumns:
    """What the list shows of each rule."""

    @display(description="Rule", ordering="name")
    def shown_name(self, rule: Rule) -> str:
        return format_html("{}<br><small>{}</small>", rule.name, rule.group)

    @display(description="In Prometheus", ordering="loaded_state")
    def shown_state(self, rule: Rule) -> str:
        if not rule.enabled:
            return format_html('<span class="badge">{}</span>', "Disabled")
        said = rule.loaded_error[:160]
        if not rule.accepted_at:
            said = "No Prometheus has parsed its expression yet, so it is left out of exports."
        return format_html(
            '<span class="badge status-{}">{}</span> <small>{}</small>',
            COLOURS.get(rule.loaded_state, "unknown"), rule.get_loaded_state_display(), said,
        )  # fmt: skip

    @display(description="Expression")
    def shown_expr(self, rule: Rule) -> str:
        shown = rule.expr if len(rule.expr) <= 80 else rule.expr[:79] + "…"
        return format_html('<span class="portal-code">{}</span>', shown)


@admin.register(Rule)
class RuleAdmin(RuleColumns, SearchedFieldsMixin, ModelAdmin):
    form = RuleForm
    paginator = CappedPaginator
    show_full_result_count = False
    list_display = (
        "shown_name",
        "shown_state",
        "severity",
        "service",
        "shown_expr",
        "for_duration",
    )
    list_filter = ("loaded_state", "severity", "enabled", "group", "upstream")
    list_select_related = ("service",)
    search_fields = ("name", "group", "expr")
    autocomplete_fields = ("service",)
    actions_list = ("export",)
    change_form_before_template = "monitoring/rule_preview.html"
    fieldsets = (
        (None, {"fields": (("name", "group"), ("severity", "service"), ("upstream", "enabled"))}),
        ("Condition", {"fields": ("expr", ("for_duration", "keep_firing_for"), "position")}),
        ("Labels and annotations", {"fields": ("summary", "description", "runbook_url")}),
        ("Further", {"fields": ("labels", "annotations"), "classes": ("collapse",)}),
    )

    class Media:
        js = ("portal/rule-preview.js",)

    def save_model(self, request: HttpRequest, obj: Rule, form: Any, change: bool) -> None:
        services.save(obj, verdict=form.verdict)
        if form.verdict.unasked:
            said = f"Saved, but left out of exports until a Prometheus has parsed it. {form.verdict.unasked}"
            messages.warning(request, said)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(post_only(self.preview))
        return [path("preview/", view, name="monitoring_rule_preview"), *super().get_urls()]

    def preview(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return preview_of(request)

    @action(description="Export", url_path="export", icon="download", permissions=["view"])
    def export(self, request: HttpRequest) -> HttpResponseBase:
        return file_response(request, "")


def preview_of(request: HttpRequest) -> HttpResponse:
    """Return part of a page: what the rule in the form would do now."""
    form = PreviewForm(request.POST)
    shown = {} if not form.is_valid() else {"preview": preview(form.instance)}
    return TemplateResponse(request, "monitoring/rule_firing.html", {"form": form, **shown})
