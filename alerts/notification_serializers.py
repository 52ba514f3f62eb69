"""The serializers of channels, routes, notifications and explanations (docs/api.md)."""

import re
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from alerts.notification_models import Channel, Notification, Route
from alerts.routing import Fit
from portal.core.api_help import described
from portal.core.validators import validate_matchers

OFFSET = re.compile(r"[Zz+-]")
FITS = [(fit.value, fit.value) for fit in Fit]


class ChannelSerializer(serializers.ModelSerializer[Channel]):
    url = serializers.CharField(
        max_length=2000,
        write_only=True,
        required=False,
        help_text="Apprise URL. Write-only; required when creating a channel.",
    )

    class Meta:
        model = Channel
        fields = (
            "id", "name", "service", "url", "shown_url", "enabled", "managed", "send_resolved", "budget_messages",
            "budget_seconds", "timeout_seconds", "error", "failing_since", "not_before", "sent_at",
        )  # fmt: skip
        read_only_fields = (
            "service", "shown_url", "managed", "error", "failing_since", "not_before", "sent_at"
        )  # fmt: skip
        extra_kwargs = described(
            service="Notification service, from the scheme of the URL.",
            enabled="Messages for a disabled channel are withheld.",
            managed="True if name and URL are set by NOTIFY_URLS and can only be changed there.",
            budget_seconds="Length of the storm budget's window in seconds.",
            timeout_seconds="Timeout of a delivery in seconds.",
            error="Error of the last delivery; empty if it succeeded.",
            failing_since="Start of the current series of failed deliveries.",
            not_before="Earliest time of the next attempt, after a failed delivery.",
            sent_at="When a message was last delivered.",
        )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if self.instance is None and not attrs.get("url"):
            raise serializers.ValidationError({"url": ["Enter an Apprise URL."]})
        if self.instance and self.instance.managed and {"url", "name"} & attrs.keys():
            raise serializers.ValidationError(
                {"url": ["This channel is set by NOTIFY_URLS. Change it there."]}
            )
        return attrs


@extend_schema_field({"type": "string", "pattern": r"^\d\d:\d\d(:\d\d(\.\d{1,6})?)?$"})
class TimeOfDayField(serializers.TimeField):
    """A time of day without an offset, which OpenAPI's format `time` would ask for: `quiet_zone` is the zone."""

    def to_internal_value(self, value: Any) -> Any:
        if isinstance(value, str) and OFFSET.search(value):
            raise serializers.ValidationError(
                [
                    "Write the time without an offset, such as 22:00; `quiet_zone` names the time zone."
                ]
            )
        return super().to_internal_value(value)


class RouteSerializer(serializers.ModelSerializer[Route]):
    matchers = serializers.ListField(
        child=serializers.CharField(max_length=500),
        required=False,
        max_length=50,
        validators=[validate_matchers],
        help_text='Alerts that match all of these take the route, for example `severity="critical"`.',
    )
    quiet_unless = serializers.ListField(
        child=serializers.CharField(max_length=500),
        required=False,
        max_length=50,
        validators=[validate_matchers],
        help_text="Alerts that match all of these are sent during quiet hours too.",
    )
    quiet_from = TimeOfDayField(
        required=False, allow_null=True, help_text="Start of the quiet hours, for example 22:00."
    )
    quiet_until = TimeOfDayField(
        required=False, allow_null=True,
        help_text="End of the quiet hours; may be earlier than `quiet_from` to span midnight.",
    )  # fmt: skip
    group_by = serializers.ListField(
        child=serializers.CharField(max_length=200), required=False, max_length=50,
        help_text="Labels to group alerts by; `...` makes each alert a group of its own.",
    )  # fmt: skip
    channels = serializers.SlugRelatedField(
        slug_field="name", many=True, required=False, queryset=Channel.objects.all(),
        help_text="Names of the channels to notify.",
    )  # fmt: skip
    goes_on = serializers.BooleanField(
        required=False, help_text="Alertmanager's `continue`: also evaluate the routes after this one."
    )  # fmt: skip

    class Meta:
        model = Route
        fields = (
            "id", "name", "position", "enabled", "managed", "matchers", "goes_on", "channels", "group_by",
            "group_wait_seconds", "group_interval_seconds", "repeat_interval_seconds", "send_resolved",
            "quiet_from", "quiet_until", "quiet_zone", "quiet_unless",
        )  # fmt: skip
        read_only_fields = ("managed",)
        extra_kwargs: dict[str, dict[str, Any]] = {
            **described(
                managed="True if the route is set by NOTIFY_URLS and cannot be deleted.",
                group_wait_seconds="Seconds to wait before the first message of a group.",
                group_interval_seconds="Minimum time in seconds between two messages of a group.",
                repeat_interval_seconds="Seconds after which alerts that are still firing are sent again, "
                "unless all are acknowledged.",
                send_resolved="Also notify when alerts are resolved.",
                quiet_zone="Time zone of the quiet hours, for example Europe/Berlin.",
            ),
            "position": {"max_value": 2_147_483_647},
        }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        names = ("quiet_from", "quiet_until", "quiet_zone")
        stored = {name: getattr(self.instance or Route(), name) for name in names}
        try:
            Route(**{name: attrs.get(name, value) for name, value in stored.items()}).clean()
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.message_dict) from error
        return attrs


class NotificationSerializer(serializers.ModelSerializer[Notification]):
    channel = serializers.CharField(
        source="channel_name", read_only=True, help_text="Name of the channel."
    )
    route = serializers.SlugRelatedField(  # type: ignore[var-annotated]
        slug_field="name", read_only=True, allow_null=True, help_text="Name of the route."
    )
    sentence = serializers.SerializerMethodField(help_text="Description of `reason`.")

    class Meta:
        model = Notification
        fields = (
            "id", "created_at", "channel", "route", "kind", "outcome", "reason", "sentence", "subject", "firing",
            "resolved", "alert_ids", "transition_ids", "attempts", "answer", "next_attempt_at", "finished_at",
            "duration_seconds", "digest",
        )  # fmt: skip
        read_only_fields = fields
        extra_kwargs = described(
            subject="Subject line of the message.",
            firing="Number of firing alerts in the message.",
            resolved="Number of resolved alerts in the message.",
            alert_ids="Ids of the alerts it is about.",
            transition_ids="Ids of the transitions that led to it.",
            attempts="Number of delivery attempts.",
            next_attempt_at="When the next attempt is due, while the message is pending.",
            finished_at="When the message was sent, failed for good or was withheld.",
            duration_seconds="Duration of the last attempt in seconds.",
            digest="Id of the digest that summarises the message.",
        )

    @extend_schema_field(serializers.CharField())
    def get_sentence(self, row: Notification) -> str:
        return row.get_reason_display()


class RouteLineSerializer(serializers.Serializer[Any]):
    """Whether a route matches the alert."""

    route = serializers.CharField(help_text="Name of the route.")
    fit = serializers.ChoiceField(choices=FITS)
    sentence = serializers.CharField(help_text="Explanation of `fit`.")
    channels = serializers.ListField(
        child=serializers.CharField(), help_text="Names of the channels of the route."
    )


class GroupLineSerializer(serializers.Serializer[Any]):
    """A notification group that contains the alert."""

    route = serializers.CharField(help_text="Name of the route.")
    labels = serializers.DictField(
        child=serializers.CharField(), help_text="The labels the alerts are grouped by."
    )
    members = serializers.IntegerField(help_text="Number of alerts in the group.")
    said_at = serializers.DateTimeField(
        allow_null=True, help_text="When a message about the group was last sent."
    )
    next_look_at = serializers.DateTimeField(
        allow_null=True, help_text="When the group is evaluated next; null if nothing is due."
    )
    sentence = serializers.CharField(help_text="What happens next.")


class ExplanationSerializer(serializers.Serializer[Any]):
    """Why notifications about an alert were, or were not, sent."""

    labels = serializers.DictField(
        child=serializers.CharField(), help_text="The labels that routes are matched against."
    )
    routes = RouteLineSerializer(many=True, help_text="All enabled routes, in order of evaluation.")
    groups = GroupLineSerializer(many=True)
    waiting_transitions = serializers.IntegerField(
        help_text="Number of transitions that have not been routed yet."
    )
    notifications = NotificationSerializer(
        many=True, help_text="The latest 50 notifications about the alert, newest first."
    )
