"""Admin for charts and scrape targets."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from monitoring import admin_checks  # noqa: F401 - registers its pages
from monitoring.discovery import admin as discovery_admin  # noqa: F401 - registers
from monitoring.errors import admin as errors_admin  # noqa: F401 - registers
from monitoring.logs import admin as logs_admin  # noqa: F401 - registers its pages
from monitoring.models import Panel, Target
from monitoring.panels import check_promql
from monitoring.rules import admin as rules_admin  # noqa: F401 - registers
from portal.core.formfields import MatchersField
from portal.core.paginator import CappedPaginator


class PanelForm(forms.ModelForm):  # type: ignore[type-arg]
    """Asks Prometheus whether it understands the expression before it is stored."""

    alert_matchers = MatchersField(
        label="Alert matchers",
        help_text='Alert episodes to shade on the chart, one matcher per line, for example alertname="HostHighCpu".',
    )

    class Meta:
        model = Panel
        fields = (
            "title", "slug", "description", "upstream", "promql", "legend", "unit", "warning_above",
            "critical_above", "alert_matchers", "position", "on_dashboard",
        )  # fmt: skip
        widgets = {"promql": UnfoldAdminTextareaWidget(attrs={"rows": 4, "spellcheck": "false"})}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        promql = cleaned.get("promql")
        if promql and (objection := check_promql(promql, cleaned.get("upstream"))):
            self.add_error("promql", objection)
        return cleaned


@admin.register(Panel)
class PanelAdmin(ModelAdmin):
    form = PanelForm
    list_display = ("title", "upstream", "shown_promql", "unit", "position", "on_dashboard")
    list_filter = ("on_dashboard", "unit")
    list_select_related = ("upstream",)
    search_fields = ("title", "slug", "promql")
    prepopulated_fields = {"slug": ("title",)}
    change_form_before_template = "portal/panel_preview.html"
    fieldsets = (
        (None, {"fields": ("title", "slug", "description")}),
        ("Data", {"fields": ("upstream", "promql", "legend", "unit")}),
        ("Marks", {"fields": (("warning_above", "critical_above"), "alert_matchers")}),
        ("Place", {"fields": (("position", "on_dashboard"),)}),
    )

    class Media:
        css = {"all": ("vendor/uplot/uPlot.min.css",)}
        js = ("vendor/uplot/uPlot.iife.min.js", "portal/chart.js", "portal/panel-preview.js")

    @display(description="PromQL")
    def shown_promql(self, panel: Panel) -> str:
        shown = panel.promql if len(panel.promql) <= 90 else panel.promql[:89] + "…"
        return format_html('<span class="portal-code">{}</span>', shown)


@admin.register(Target)
class TargetAdmin(ModelAdmin):
    """The targets that Prometheus reports; read-only."""

    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_display = (
        "instance",
        "job",
        "shown_health",
        "service",
        "upstream",
        "shown_error",
        "changed_at",
    )
    list_filter = ("health", "upstream", "job")
    list_select_related = ("service", "upstream")
    search_fields = ("instance", "job")
    ordering = ("job", "instance")
    fields = (
        "instance", "job", "health", "error", "service", "upstream", "scrape_url", "labels", "changed_at"
    )  # fmt: skip
    readonly_fields = fields

    @display(description="Health", ordering="health")
    def shown_health(self, target: Target) -> str:
        return format_html(
            '<span class="badge status-{}">{}</span>', target.health, target.get_health_display()
        )

    @display(description="Error")
    def shown_error(self, target: Target) -> str:
        return format_html('<span class="portal-sentence">{}</span>', target.error[:300])

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
