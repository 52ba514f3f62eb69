"""Admin for scrape targets: a separate list, and rows on the page of their service."""

from typing import ClassVar

from django import forms
from django.contrib import admin
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from monitoring.discovery.models import ScrapeTarget
from portal.core.formfields import SearchedFieldsMixin
from portal.core.paginator import CappedPaginator


class ScrapeTargetForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = ScrapeTarget
        fields = ("service", "address", "scheme", "metrics_path", "labels", "enabled")
        widgets: ClassVar = {
            "labels": UnfoldAdminTextareaWidget(attrs={"rows": 2, "spellcheck": "false"})
        }


class ScrapeTargetInline(TabularInline):
    """The scrape targets on the page of a service."""

    model = ScrapeTarget
    form = ScrapeTargetForm
    fields = ("address", "scheme", "metrics_path", "labels", "enabled")
    extra = 0
    verbose_name_plural = "scrape targets, read by Prometheus within half a minute"


@admin.register(ScrapeTarget)
class ScrapeTargetAdmin(SearchedFieldsMixin, ModelAdmin):
    form = ScrapeTargetForm
    paginator = CappedPaginator
    show_full_result_count = False
    list_display = ("shown_address", "service", "shown_labels", "enabled")
    list_filter = ("enabled", "scheme", "service")
    list_select_related = ("service",)
    search_fields = ("address", "service__slug")
    autocomplete_fields = ("service",)

    @display(description="Address", ordering="address")
    def shown_address(self, target: ScrapeTarget) -> str:
        return format_html('<span class="portal-code">{}</span>', str(target))

    @display(description="Labels")
    def shown_labels(self, target: ScrapeTarget) -> str:
        return ", ".join(f"{name}={value}" for name, value in target.labels.items()) or "—"
