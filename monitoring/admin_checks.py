"""Admin for checks and deploys."""

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display

from monitoring.checks import history, services
from monitoring.checks.flips import UP
from monitoring.checks.form import CheckForm
from monitoring.checks.svg import curve, strip
from monitoring.models import Check, Deploy, Status
from portal.core.formfields import SearchedFieldsMixin
from portal.core.object_actions import ObjectActionsMixin
from portal.core.paginator import CappedPaginator
from portal.core.wording import duration

WINDOWS = (
    ("24 hours", timedelta(hours=24)),
    ("7 days", timedelta(days=7)),
    ("30 days", timedelta(days=30)),
)
CURVE = timedelta(days=7)
RECENT = 20


class CheckColumns:
    """What the list shows of each check."""

    @display(description="Check", ordering="name")
    def shown_name(self, check: Check) -> str:
        return format_html("{}<br><small>{}</small>", check.name, check.get_kind_display())

    @display(description="Status", ordering="status")
    def shown_status(self, check: Check) -> str:
        status, sentence = check.shown(at=timezone.now())
        return format_html(
            '<span class="badge status-{}">{}</span> <small>{}</small>',
            status, Status(status).label, sentence[:160],
        )  # fmt: skip

    @display(description="Asks")
    def shown_target(self, check: Check) -> str:
        asked = check.promql if check.kind == Check.Kind.PROMQL else check.target
        shown = asked if len(asked) <= 80 else asked[:79] + "…"
        return format_html('<span class="portal-code">{}</span>', shown)

    @display(description="Every", ordering="interval_seconds")
    def shown_interval(self, check: Check) -> str:
        return duration(check.interval_seconds)

    @display(description="Latency", ordering="latency_seconds")
    def shown_latency(self, check: Check) -> str:
        return "—" if check.latency_seconds is None else f"{check.latency_seconds * 1000:.0f} ms"


def run_now(request: HttpRequest, pk: int) -> HttpResponse:
    """Run the check now, and return to its page with the result."""
    if not request.user.has_perm("monitoring.change_check"):
        raise PermissionDenied
    check = get_object_or_404(Check.objects.select_related("service", "upstream"), pk=pk)
    answer = services.run_now(check, actor=request.user)
    level = messages.SUCCESS if answer.status == UP else messages.WARNING
    said = f"{Status(answer.status).label}: {answer.sentence or 'no details.'}"
    messages.add_message(request, level, said)
    return redirect(check.get_absolute_url())


@admin.register(Check)
class CheckAdmin(CheckColumns, ObjectActionsMixin, SearchedFieldsMixin, ModelAdmin):
    form = CheckForm
    list_display = (
        "shown_name",
        "service",
        "shown_status",
        "shown_target",
        "shown_interval",
        "shown_latency",
    )
    list_filter = ("status", "kind", "enabled", "service")
    list_select_related = ("service",)
    search_fields = ("name", "target", "service__slug")
    autocomplete_fields = ("service",)
    object_actions = {"run": run_now}
    change_form_outer_before_template = "portal/check_page.html"
    fieldsets = (
        (None, {"fields": (("service", "name"), ("kind", "enabled"))}),
        ("What is checked", {"fields": (
            "target", ("method", "expected_status"), "body_pattern", ("follow_redirects", "verify_tls"),
            ("new_headers", "forget_headers"), "expiry_warning_days", "upstream", "promql",
            ("comparison", "threshold"), "degraded_after_seconds")}),
        ("Interval and thresholds", {"fields": (
            ("interval_seconds", "timeout_seconds"), ("failures_to_flip", "successes_to_recover"))}),
        ("Alert", {"fields": (("raises_alert", "severity"),)}),
    )  # fmt: skip

    class Media:
        js = ("portal/check-form.js",)

    def save_model(self, request: HttpRequest, obj: Check, form: Any, change: bool) -> None:
        services.save(obj, changed=form.written())

    def delete_model(self, request: HttpRequest, obj: Check) -> None:
        services.delete(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Check]) -> None:
        for check in queryset.select_related("service"):
            services.delete(check)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        extra = {**(extra_context or {}), **page_of(object_id)}
        page: HttpResponse = super().change_view(request, object_id, form_url, extra)
        return page


def page_of(check_id: str) -> dict[str, Any]:
    """Return what a check's page shows besides its form; empty for an invalid id."""
    check = Check.objects.filter(pk=int(check_id[:18])).first() if check_id.isdecimal() else None
    if check is None:
        return {}
    now = timezone.now()
    status, sentence = check.shown(at=now)
    past = {name: history.of_check(check, start=now - length, end=now) for name, length in WINDOWS}
    hours = history.hours_of(check, start=now - CURVE)
    points = [(hour.hour, hour.latency_mean) for hour in hours]
    return {
        "now": now,
        "status": status,
        "status_label": Status(status).label,
        "sentence": sentence,
        "uptimes": [(name, found.uptime) for name, found in past.items()],
        "bars": strip(past["30 days"].spans),
        "curves": curve(points, start=now - CURVE, end=now),
        "slowest": max((hour.latency_max for hour in hours), default=None),
        "highest_mean": max((value for _, value in points), default=None),
        "changes": check.changes.all()[:RECENT],
    }


@admin.register(Deploy)
class DeployAdmin(ModelAdmin):
    """Deploys reported by pipelines or added by hand; they cannot be changed."""

    paginator = CappedPaginator
    show_full_result_count = False
    list_display = ("version", "service", "environment", "actor", "at")
    list_filter = ("environment", "service")
    list_select_related = ("service",)
    search_fields = ("version", "revision", "service__slug")
    fields = ("service", "version", "environment", "revision", "url", "description", "actor", "at")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
