"""Alerts, transitions and silences in the API's words (docs/api.md)."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from alerts.models import Alert, Silence, State, Transition
from portal.core.matchers import OPERATORS

SILENCE_STATES = [(name, name) for name in ("pending", "active", "expired")]


class AlertSerializer(serializers.ModelSerializer[Alert]):
    upstream = serializers.SlugRelatedField(slug_field="name", read_only=True)  # type: ignore[var-annotated]
    service = serializers.SlugRelatedField(slug_field="slug", read_only=True, allow_null=True)  # type: ignore[var-annotated]
    assigned_to = serializers.SlugRelatedField(  # type: ignore[var-annotated]
        slug_field="username", read_only=True, allow_null=True
    )
    last_seen_at = serializers.DateTimeField(read_only=True, allow_null=True)
    state = serializers.ChoiceField(choices=State.choices, read_only=True)

    class Meta:
        model = Alert
        fields: tuple[str, ...] = (
            "id", "fingerprint", "upstream", "alertname", "severity", "service", "state", "labels", "annotations",
            "starts_at", "ends_at", "resolved_after", "resolved_before", "acknowledged_by", "acknowledged_at",
            "assigned_to", "silenced_by", "inhibited_by", "generator_url", "receivers", "first_seen_at",
            "last_seen_at", "missing_since",
        )  # fmt: skip
        read_only_fields = fields


class TransitionSerializer(serializers.ModelSerializer[Transition]):
    class Meta:
        model = Transition
        fields = ("id", "kind", "at", "recorded_at", "source", "actor", "text", "data")
        read_only_fields = fields


class AlertDetailSerializer(AlertSerializer):
    transitions = TransitionSerializer(many=True, read_only=True)

    class Meta(AlertSerializer.Meta):
        fields = (*AlertSerializer.Meta.fields, "transitions")
        read_only_fields = fields


class TextSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(required=False, allow_blank=True, max_length=4000, default="")


class CommentSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(max_length=4000)


class AssignSerializer(TextSerializer):
    user = serializers.CharField(
        allow_null=True, max_length=150, help_text="A user name; null for nobody."
    )


class MatcherSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200)
    operator = serializers.ChoiceField(choices=OPERATORS, default="=")
    value = serializers.CharField(max_length=2000, allow_blank=True, trim_whitespace=False)


class SilenceAlertSerializer(serializers.Serializer[Any]):
    duration_seconds = serializers.IntegerField(min_value=60, max_value=90 * 86400, default=7200)
    comment = serializers.CharField(max_length=4000)
    matchers = MatcherSerializer(
        many=True, required=False, help_text="Default: exactly this alert's labels."
    )


class SilenceSerializer(serializers.ModelSerializer[Silence]):
    upstream = serializers.SlugRelatedField(slug_field="name", read_only=True)  # type: ignore[var-annotated]
    state = serializers.SerializerMethodField()
    matchers = MatcherSerializer(many=True)

    class Meta:
        model = Silence
        fields = (
            "id", "silence_id", "upstream", "state", "matchers", "comment", "created_by", "starts_at", "ends_at",
            "updated_at",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(choices=SILENCE_STATES))
    def get_state(self, silence: Silence) -> str:
        return silence.state(at=self.context["now"])


class PreviewSilenceSerializer(serializers.Serializer[Any]):
    upstream = serializers.SlugField(help_text="Name of an Alertmanager.")
    matchers = MatcherSerializer(many=True)


class CreateSilenceSerializer(PreviewSilenceSerializer):
    starts_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    ends_at = serializers.DateTimeField()
    comment = serializers.CharField(max_length=4000)


class ChangeSilenceSerializer(serializers.Serializer[Any]):
    matchers = MatcherSerializer(many=True)
    ends_at = serializers.DateTimeField()
    comment = serializers.CharField(max_length=4000)


class PreviewSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    alerts = AlertSerializer(many=True)


class HookAcceptedSerializer(serializers.Serializer[Any]):
    accepted = serializers.IntegerField(help_text="How many alerts were read.")
    duplicate = serializers.BooleanField(help_text="True when the same body was delivered before.")
