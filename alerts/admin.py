"""Admin for the alert desk: lists with filters and actions, which call the services."""

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince
from unfold.decorators import display

from alerts import (
    desk,
    notification_admin,  # noqa: F401 - registers channels, routes and the delivery log
    services,
    silences,
)
from alerts.admin_base import ReadOnlyAdmin
from alerts.admin_filters import (
    AttentionFilter,
    ServiceFilter,
    SeverityFilter,
    SilenceStateFilter,
    StateFilter,
    TimeFilter,
)
from alerts.models import Alert, Silence
from portal.core.http import UpstreamError
from portal.core.object_actions import ObjectActionsMixin

STATE_COLOURS = {"Firing": "danger", "Suppressed": "warning", "Resolved": "success"}
SEVERITY_COLOURS = {"critical": "danger", "warning": "warning", "info": "info"}


class AlertColumns:
    """What the list shows of each alert."""

    @display(description="Alert", ordering="alertname")
    def headline(self, alert: Alert) -> str:
        return format_html("{}<br><small>{}</small>", alert.alertname, alert.summary[:140])

    @display(description="State", label=STATE_COLOURS)
    def shown_state(self, alert: Alert) -> str:
        return alert.get_state_display()

    @display(description="Severity", label=SEVERITY_COLOURS)
    def shown_severity(self, alert: Alert) -> str:
        return alert.severity or "none"

    @display(description="Since", ordering="starts_at")
    def since(self, alert: Alert) -> str:
        lasted = timesince(alert.starts_at, alert.ends_at or timezone.now(), depth=1)
        stamp = f"{alert.starts_at:%Y-%m-%d %H:%M:%S} UTC"
        return format_html(
            '<span title="{}">{}{}</span>', stamp, lasted, "" if alert.is_open else " long"
        )

    @display(description="Attention")
    def attention(self, alert: Alert) -> str:
        words = [f"acknowledged by {alert.acknowledged_by}"] if alert.acknowledged_by else []
        words += [f"assigned to {alert.assigned_to}"] if alert.assigned_to else []
        return ", ".join(words) or "—"


@admin.action(description="Acknowledge", permissions=["change"])
def acknowledge(desk_admin: Any, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
    result = services.acknowledge(list(queryset), actor=request.user)
    desk_admin.message_user(request, result.sentence("acknowledged"))


@admin.action(description="Assign to me", permissions=["change"])
def assign_to_me(desk_admin: Any, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
    result = services.assign(list(queryset), to=request.user, actor=request.user)  # type: ignore[arg-type]
    desk_admin.message_user(request, result.sentence("assigned to you"))


@admin.action(description="Withdraw acknowledgement", permissions=["change"])
def unacknowledge(desk_admin: Any, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
    result = services.unacknowledge(list(queryset), actor=request.user)
    desk_admin.message_user(request, result.sentence("no longer acknowledged"))


@admin.register(Alert)
class AlertAdmin(AlertColumns, ObjectActionsMixin, ReadOnlyAdmin):
    list_display = (
        "headline",
        "shown_state",
        "shown_severity",
        "service",
        "since",
        "attention",
        "upstream",
    )
    list_filter = (
        StateFilter,
        SeverityFilter,
        ServiceFilter,
        TimeFilter,
        AttentionFilter,
        "upstream",
    )
    list_select_related = ("service", "assigned_to", "upstream")
    list_filter_submit = False
    search_fields = ("alertname", "annotations__summary", "labels__instance")
    search_help_text = "Name, summary or instance"
    ordering = ("-starts_at",)
    actions = (acknowledge, assign_to_me, unacknowledge)
    object_actions = {verb: partial(desk.act, verb=verb) for verb in desk.VERBS}

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        silence = path(
            "<int:alert_id>/silence/", wrap(self.silence_view), name="alerts_alert_silence"
        )
        return [silence, *super().get_urls()]

    def _context(self, request: HttpRequest) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.model._meta}

    def change_view(
        self, request: HttpRequest, object_id: str, *_args: Any, **_kwargs: Any
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return desk.alert_page(request, object_id, self._context(request))

    def silence_view(self, request: HttpRequest, alert_id: str) -> HttpResponse:
        return desk.silence_page(request, alert_id, self._context(request))


@admin.register(Silence)
class SilenceAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        "shown_state",
        "comment",
        "created_by",
        "starts_at",
        "ends_at",
        "upstream",
    )
    list_filter = (SilenceStateFilter, "upstream")
    list_select_related = ("upstream",)
    search_fields = ("comment", "created_by", "matchers")
    ordering = ("ends_at",)
    actions = ("expire",)
    fields = (
        "shown_matchers",
        "shown_state",
        "comment",
        "created_by",
        "starts_at",
        "ends_at",
        "updated_at",
        "upstream",
        "silence_id",
    )
    readonly_fields = fields

    @display(description="Matchers")
    def shown_matchers(self, silence: Silence) -> str:
        return format_html('<span class="portal-code">{}</span>', silence)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and super().has_change_permission(request, obj)

    @display(
        description="State", label={"active": "warning", "pending": "info", "expired": "success"}
    )
    def shown_state(self, silence: Silence) -> str:
        return silence.state(at=timezone.now())

    @admin.action(description="Expire now", permissions=["change"])
    def expire(self, request: HttpRequest, queryset: QuerySet[Silence]) -> None:
        done = 0
        for silence in queryset.select_related("upstream"):
            try:
                done += silences.expire(silence, actor=request.user)
            except UpstreamError as error:
                self.message_user(request, f"{silence} was not expired. {error}", messages.ERROR)
        self.message_user(request, f"{done} silence{'' if done == 1 else 's'} expired.")
