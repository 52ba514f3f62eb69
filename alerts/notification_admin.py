"""Admin for channels, routes and the delivery log; the actions call the services."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.html import format_html, format_html_join
from unfold.admin import ModelAdmin
from unfold.decorators import display

from alerts import channels
from alerts.admin_base import ReadOnlyAdmin
from alerts.admin_filters import WhenFilter
from alerts.models import Alert
from alerts.notification_forms import ChannelForm, RouteForm
from alerts.notification_models import Channel, Notification, Outcome, Route
from portal.core.object_actions import ObjectActionsMixin
from portal.core.wording import duration

ALERTS_SHOWN = 20
OUTCOMES = {"Sent": "success", "Waiting": "info", "Failed": "danger", "Withheld": "warning"}


class ChannelColumns:
    """What the list shows of each channel."""

    @display(description="Channel", ordering="name")
    def shown_name(self, channel: Channel) -> str:
        note = " · from the environment" if channel.managed else ""
        return format_html("{}<br><small>{}{}</small>", channel.name, channel.service, note)

    @display(description="State")
    def shown_state(self, channel: Channel) -> str:
        state, words = "live", "Delivers" if channel.sent_at else "Nothing sent yet"
        if not channel.enabled:
            state, words = "off", "Disabled"
        elif channel.error:
            state, words = "unreachable", "Failing"
        return format_html(
            '<span class="badge fresh-{}">{}</span> <span class="portal-sentence">{}</span>',
            state, words, channel.error,
        )  # fmt: skip

    @display(description="URL, secrets masked")
    def shown_address(self, channel: Channel) -> str:
        return format_html('<span class="portal-code">{}</span>', channel.shown_url)

    @display(description="Budget", ordering="budget_messages")
    def shown_budget(self, channel: Channel) -> str:
        return f"{channel.budget_messages} in {channel.budget_seconds / 60:g} min"


def send_test(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a test message now, and return to the channel's page with the result."""
    if not request.user.has_perm("alerts.change_channel"):
        raise PermissionDenied
    channel = get_object_or_404(Channel, pk=pk)
    row = channels.test(channel, actor=request.user)
    good = row.outcome == Outcome.SENT
    messages.add_message(request, messages.SUCCESS if good else messages.ERROR, row.answer)
    return redirect(channel.get_absolute_url())


@admin.register(Channel)
class ChannelAdmin(ChannelColumns, ObjectActionsMixin, ModelAdmin):
    form = ChannelForm
    object_actions = {"test": send_test}
    list_display = ("shown_name", "shown_state", "sent_at", "shown_address", "shown_budget")
    search_fields = ("name", "service", "shown_url")
    list_filter = ("enabled", "service")
    change_form_outer_before_template = "alerts/channel_state.html"
    fieldsets = (
        (None, {"fields": ("name", "new_url", ("enabled", "send_resolved"))}),
        ("Limits", {"fields": (("budget_messages", "budget_seconds"), "timeout_seconds")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name",) if obj and obj.managed else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not (obj and obj.managed) and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Channel, form: Any, change: bool) -> None:
        channels.save(obj, url=form.cleaned_data.get("new_url", ""), actor=request.user)

    def delete_model(self, request: HttpRequest, obj: Channel) -> None:
        channels.delete(obj, actor=request.user)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Channel]) -> None:
        for channel in queryset.filter(managed=False):
            channels.delete(channel, actor=request.user)


@admin.register(Route)
class RouteAdmin(ModelAdmin):
    form = RouteForm
    list_display = ("position", "name", "shown_matchers", "shown_channels", "goes_on", "enabled")
    list_display_links = ("name",)
    list_filter = ("enabled", "channels")
    search_fields = ("name",)
    filter_horizontal = ("channels",)
    fieldsets = (
        (None, {"fields": (("name", "position"), "enabled")}),
        ("Matching alerts", {"fields": ("matchers", "goes_on")}),
        ("Channels", {"fields": ("channels", "send_resolved")}),
        (
            "Grouping and repeats",
            {"fields": ("group_by", ("group_wait_seconds", "group_interval_seconds"), "repeat_interval_seconds")},
        ),
        (
            "Quiet hours",
            {"fields": (("quiet_from", "quiet_until"), "quiet_zone", "quiet_unless")},
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Route]:
        found: QuerySet[Route] = super().get_queryset(request)
        return found.prefetch_related("channels")

    @display(description="Alerts that match")
    def shown_matchers(self, route: Route) -> str:
        words = ", ".join(route.matchers) or "everything"
        return format_html('<span class="portal-code">{}</span>', words)

    @display(description="Channels")
    def shown_channels(self, route: Route) -> str:
        return (
            ", ".join(channel.name for channel in route.channels.all())
            or "none: nobody is notified"
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not (obj and obj.managed) and super().has_delete_permission(request, obj)


class NotificationColumns:
    """What the log shows of each message."""

    @display(description="Message", ordering="subject")
    def shown_subject(self, row: Notification) -> str:
        return row.subject or f"About {len(row.alert_ids)} alert{'s'[: len(row.alert_ids) != 1]}"

    @display(description="Took")
    def shown_duration(self, row: Notification) -> str:
        return "—" if row.duration_seconds is None else duration(row.duration_seconds)

    @display(description="Alerts")
    def shown_alerts(self, row: Notification) -> str:
        found = Alert.objects.filter(pk__in=row.alert_ids[:ALERTS_SHOWN]).order_by("-starts_at")
        links = ((alert.get_absolute_url(), alert) for alert in found)
        left = len(row.alert_ids) - ALERTS_SHOWN
        more = f" and {left} more" if left > 0 else ""
        return format_html("{}{}", format_html_join(", ", '<a href="{}">{}</a>', links), more)

    @display(description="Outcome", label=OUTCOMES)
    def shown_outcome(self, row: Notification) -> str:
        return row.get_outcome_display()

    @display(description="Why", ordering="reason")
    def shown_reason(self, row: Notification) -> str:
        said = row.answer if row.outcome in (Outcome.FAILED, Outcome.PENDING) else ""
        return format_html(
            '<div>{} <span class="portal-sentence">{}</span></div>', row.get_reason_display(), said
        )


@admin.register(Notification)
class NotificationAdmin(NotificationColumns, ReadOnlyAdmin):
    list_display = (
        "shown_subject",
        "shown_outcome",
        "channel_name",
        "shown_reason",
        "created_at",
        "attempts",
    )
    list_filter = ("outcome", "channel", "reason", WhenFilter, "kind")
    list_select_related = ("channel",)
    search_fields = ("subject", "channel_name")
    ordering = ("-id",)
    actions = ("send_again",)
    fields = (
        "subject",
        "outcome",
        "reason",
        "answer",
        "channel",
        "route",
        "body",
        "firing",
        "resolved",
        "created_at",
        "finished_at",
        "next_attempt_at",
        "attempts",
        "shown_duration",
        "digest",
        "shown_alerts",
        "batch",
    )
    readonly_fields = fields  # fmt: skip

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and bool(request.user.has_perm("alerts.change_channel"))

    @admin.action(description="Send failed messages again", permissions=["change"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        done = channels.send_again(queryset, actor=request.user)
        left = queryset.count() - done
        note = f"; {left} had not failed, or their channel is deleted or disabled" if left else ""
        self.message_user(request, f"{done} put back into the queue{note}.")
