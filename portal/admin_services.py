"""Admin for the service catalogue: each service with its status, targets, history and alerts."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminURLInputWidget

from alerts.models import Alert
from monitoring.admin_checks import WINDOWS
from monitoring.checks import history as observed
from monitoring.checks.svg import strip
from monitoring.discovery.admin import ScrapeTargetInline
from monitoring.errors.summary import error_summary, rectangles
from monitoring.logs.search import default_elasticsearch
from monitoring.models import Check, Deploy, ServiceStatus, Status, StatusChange, Target
from portal.core.formfields import LogFieldsField, MatchersField
from portal.core.models import Service, Upstream, UpstreamKind
from portal.service_logs import service_logs
from portal.sight import sight_of, source_of
from security.models import Flag, FlagService

RECENT = 10


class ServiceForm(forms.ModelForm):  # type: ignore[type-arg]
    matchers = MatchersField(
        help_text="One per line. Alerts and targets whose labels match all of them belong to the service, e.g."
        ' job="api".'
    )
    log_fields = LogFieldsField(
        help_text="One field=value per line, e.g. service.name=shop-api. Log lines belong to the service if each"
        " field has one of its values. If empty, lines that carry its slug do."
    )
    runbook_url = forms.URLField(
        label="Runbook", required=False, assume_scheme="https", widget=UnfoldAdminURLInputWidget()
    )
    repository_url = forms.URLField(
        label="Repository",
        required=False,
        assume_scheme="https",
        widget=UnfoldAdminURLInputWidget(),
    )

    class Meta:
        model = Service
        widgets: ClassVar = {
            "description": UnfoldAdminTextareaWidget(attrs={"rows": 3}),
            "labels": UnfoldAdminTextareaWidget(attrs={"rows": 3, "spellcheck": "false"}),
        }
        fields = (
            "name", "slug", "team", "tier", "description", "matchers", "log_fields", "labels", "runbook_url",
            "repository_url",
        )  # fmt: skip


class StatusFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*Status.choices, ("none", "No target matches")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Service]) -> QuerySet[Service]:
        if self.value() == "none":
            return queryset.filter(status__isnull=True)
        return queryset.filter(status__status=self.value()) if self.value() else queryset


@admin.register(Service)
class ServiceAdmin(ModelAdmin):
    form = ServiceForm
    list_display = ("shown_name", "shown_status", "targets", "team", "tier")
    list_filter = (StatusFilter, "team", "tier", "discovered")
    list_select_related = ("status__upstream",)
    search_fields = ("slug", "name", "team")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (ScrapeTargetInline,)
    change_form_outer_before_template = "portal/service_page.html"
    fieldsets = (
        (None, {"fields": (("name", "slug"), ("team", "tier"), "description")}),
        ("Matching", {"fields": ("matchers", "log_fields", "labels")}),
        ("Links", {"fields": ("runbook_url", "repository_url")}),
    )

    @display(description="Service", ordering="name")
    def shown_name(self, service: Service) -> str:
        return format_html("{}<br><small>{}</small>", service.name, service.slug)

    @display(description="Status", ordering="status__status")
    def shown_status(self, service: Service) -> str:
        row = status_of(service)
        if row is None:
            return format_html('<span class="badge">{}</span>', "No target matches")
        status, reason = row.shown(at=timezone.now())
        return format_html(
            '<span class="badge status-{}">{}</span> <small>{}</small>',
            status, Status(status).label, reason[:160],
        )  # fmt: skip

    @display(description="Targets")
    def targets(self, service: Service) -> str:
        row = status_of(service)
        return f"{row.targets_up} of {row.targets_up + row.targets_down} up" if row else "—"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        lines = path("<int:service_id>/logs/", wrap(service_logs), name="core_service_logs")
        return [lines, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        extra = {**(extra_context or {}), **history(object_id), "now": timezone.now()}
        if request.user.has_perm("security.view_flag"):
            extra["flags"] = flags_of(object_id)
        page: HttpResponse = super().change_view(request, object_id, form_url, extra)
        return page


def status_of(service: Service) -> ServiceStatus | None:
    return getattr(service, "status", None)


def flags_of(service_id: str) -> list[Flag]:
    """Return the newest flags that concern a service; none for an invalid id."""
    if not service_id.isdecimal():
        return []
    slug = Service.objects.filter(pk=int(service_id[:18])).values("slug")[:1]
    rows = FlagService.objects.filter(slug=slug).select_related("flag")
    return [row.flag for row in rows.order_by("-opened_at", "-flag_id")[:RECENT]]


def history(service_id: str) -> dict[str, Any]:
    """Return the history of a service, for its page; empty for an invalid id."""
    if not service_id.isdecimal():
        return {}
    number = int(service_id[:18])
    row = ServiceStatus.objects.select_related("upstream").filter(pk=number).first()
    status, reason = row.shown(at=timezone.now()) if row else ("", "")
    targets = Target.objects.filter(service_id=number).select_related("upstream")
    now = timezone.now()
    past = {
        name: observed.of_service(number, start=now - length, end=now) for name, length in WINDOWS
    }
    alerts = Alert.objects.filter(service_id=number).select_related("upstream")
    errors = error_summary(at=now, service_id=number)
    sentries = Upstream.objects.enabled().filter(kind=UpstreamKind.SENTRY)
    return {
        "status_row": row,
        "status": status,
        "status_label": Status(status).label if status else "No target matches",
        "status_reason": reason,
        "targets": targets.order_by("health", "job", "instance")[:50],
        "changes": StatusChange.objects.filter(service_id=number, check_row__isnull=True)[:RECENT],
        "uptimes": [(name, found.uptime) for name, found in past.items()],
        "bars": strip(past["30 days"].spans),
        "checks": _checks(number, at=now),
        "deploys": Deploy.objects.filter(service_id=number)[:RECENT],
        "error_summary": errors,  # Django uses `errors` for the form's errors
        "error_bars": rectangles(errors.trend),
        "errors_sight": sight_of(
            UpstreamKind.SENTRY, tuple(source_of(row, at=now) for row in sentries)
        ),
        "logs_are_kept": default_elasticsearch() is not None,
        "recent_alerts": alerts.order_by("-starts_at")[:RECENT],
    }


def _checks(service_id: int, *, at: datetime) -> list[dict[str, Any]]:
    """Return the checks of a service, each with its current result and its uptime over 30 days."""
    checks = list(Check.objects.filter(service_id=service_id).order_by("name")[:50])
    past = observed.of_checks(checks, start=at - timedelta(days=30), end=at)
    found = []
    for check in checks:
        status, sentence = check.shown(at=at)
        said = {"status": status, "label": Status(status).label, "sentence": sentence}
        found.append({"row": check, "uptime": past[check.pk].uptime, **said})
    return found
