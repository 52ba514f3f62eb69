"""Channels, routes, deliveries and explanations in the API's words (docs/api.md)."""

import re
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from alerts.notification_models import Channel, Notification, Route
from alerts.routing import Fit
from portal.core.validators import validate_matchers

OFFSET = re.compile(r"[Zz+-]")
FITS = [(fit.value, fit.value) for fit in Fit]


class ChannelSerializer(serializers.ModelSerializer[Channel]):
    url = serializers.CharField(
        max_length=2000, write_only=True, required=False, help_text="An Apprise URL; write-only."
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
    )
    quiet_unless = serializers.ListField(
        child=serializers.CharField(max_length=500),
        required=False,
        max_length=50,
        validators=[validate_matchers],
    )
    quiet_from = TimeOfDayField(required=False, allow_null=True)
    quiet_until = TimeOfDayField(required=False, allow_null=True)
    group_by = serializers.ListField(
        child=serializers.CharField(max_length=200), required=False, max_length=50
    )
    channels = serializers.SlugRelatedField(
        slug_field="name", many=True, required=False, queryset=Channel.objects.all()
    )
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
        extra_kwargs = {"position": {"max_value": 2_147_483_647}}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        names = ("quiet_from", "quiet_until", "quiet_zone")
        stored = {name: getattr(self.instance or Route(), name) for name in names}
        try:
            Route(**{name: attrs.get(name, value) for name, value in stored.items()}).clean()
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.message_dict) from error
        return attrs


class NotificationSerializer(serializers.ModelSerializer[Notification]):
    channel = serializers.CharField(source="channel_name", read_only=True)
    route = serializers.SlugRelatedField(slug_field="name", read_only=True, allow_null=True)  # type: ignore[var-annotated]
    sentence = serializers.SerializerMethodField(help_text="The reason as a sentence.")

    class Meta:
        model = Notification
        fields = (
            "id", "created_at", "channel", "route", "kind", "outcome", "reason", "sentence", "subject", "firing",
            "resolved", "alert_ids", "transition_ids", "attempts", "answer", "next_attempt_at", "finished_at",
            "duration_seconds", "digest",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.CharField())
    def get_sentence(self, row: Notification) -> str:
        return row.get_reason_display()


class RouteLineSerializer(serializers.Serializer[Any]):
    route = serializers.CharField()
    fit = serializers.ChoiceField(choices=FITS)
    sentence = serializers.CharField()
    channels = serializers.ListField(child=serializers.CharField())


class GroupLineSerializer(serializers.Serializer[Any]):
    route = serializers.CharField()
    labels = serializers.DictField(child=serializers.CharField())
    members = serializers.IntegerField()
    said_at = serializers.DateTimeField(allow_null=True)
    next_look_at = serializers.DateTimeField(allow_null=True)
    sentence = serializers.CharField()


class ExplanationSerializer(serializers.Serializer[Any]):
    labels = serializers.DictField(child=serializers.CharField())
    routes = RouteLineSerializer(many=True)
    groups = GroupLineSerializer(many=True)
    waiting_transitions = serializers.IntegerField()
    notifications = NotificationSerializer(many=True)
