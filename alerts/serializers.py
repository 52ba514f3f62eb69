"""The serializers of alerts, transitions and silences (docs/api.md)."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from alerts.models import Alert, Silence, State, Transition
from portal.core.api_help import described
from portal.core.matchers import OPERATORS

SILENCE_STATES = [(name, name) for name in ("pending", "active", "expired")]


class AlertSerializer(serializers.ModelSerializer[Alert]):
    """One episode of an alert: from its first firing until it is resolved."""

    upstream = serializers.SlugRelatedField(  # type: ignore[var-annotated]
        slug_field="name", read_only=True, help_text="Name of the upstream that reported the alert."
    )
    service = serializers.SlugRelatedField(  # type: ignore[var-annotated]
        slug_field="slug", read_only=True, allow_null=True,
        help_text="Slug of the service; null if no service matches.",
    )  # fmt: skip
    assigned_to = serializers.SlugRelatedField(  # type: ignore[var-annotated]
        slug_field="username", read_only=True, allow_null=True,
        help_text="User name of the assignee; null if the alert is not assigned.",
    )  # fmt: skip
    last_seen_at = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="When the upstream last listed the alert."
    )
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
        extra_kwargs = described(
            fingerprint="Alertmanager's fingerprint of the label set, in hexadecimal.",
            severity="Value of the `severity` label in lower case; empty if there is none.",
            starts_at="When the alert started firing.",
            ends_at="Best known end of the episode; null while the alert is open.",
            resolved_after="Earliest possible end. Equal to `resolved_before` if the end is exact.",
            resolved_before="Latest possible end.",
            acknowledged_by="Who acknowledged the alert; empty if nobody has.",
            silenced_by="Alertmanager ids of the silences that suppress the alert.",
            inhibited_by="Fingerprints of the alerts that inhibit this one.",
            generator_url="URL of the expression that caused the alert, usually in Prometheus.",
            receivers="Names of the Alertmanager receivers the alert is routed to.",
            first_seen_at="When the portal first received the episode.",
            missing_since="Time of the first successful poll that no longer listed the alert.",
        )


class TransitionSerializer(serializers.ModelSerializer[Transition]):
    """One change in the history of an alert."""

    class Meta:
        model = Transition
        fields = ("id", "kind", "at", "recorded_at", "source", "actor", "text", "data")
        read_only_fields = fields
        extra_kwargs = described(
            at="When the change happened, as precisely as is known.",
            recorded_at="When the portal recorded the change.",
            actor="User or token that made the change; empty if it was not made by hand.",
            text="Comment or reason; may be empty.",
            data="Details that depend on `kind`.",
        )


class AlertDetailSerializer(AlertSerializer):
    transitions = TransitionSerializer(
        many=True, read_only=True, help_text="The history of the alert."
    )

    class Meta(AlertSerializer.Meta):
        fields = (*AlertSerializer.Meta.fields, "transitions")
        read_only_fields = fields


class TextSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(
        required=False, allow_blank=True, max_length=4000, default="",
        help_text="Optional comment, recorded with the action.",
    )  # fmt: skip


class CommentSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(max_length=4000, help_text="The comment.")


class AssignSerializer(TextSerializer):
    user = serializers.CharField(
        allow_null=True, max_length=150,
        help_text="User name of an active account; null removes the assignment.",
    )  # fmt: skip


class MatcherSerializer(serializers.Serializer[Any]):
    """A label matcher, as in Alertmanager."""

    name = serializers.CharField(max_length=200, help_text="Label name.")
    operator = serializers.ChoiceField(choices=OPERATORS, default="=")
    value = serializers.CharField(
        max_length=2000, allow_blank=True, trim_whitespace=False,
        help_text="Label value, or a regular expression if `operator` is `=~` or `!~`.",
    )  # fmt: skip


class SilenceAlertSerializer(serializers.Serializer[Any]):
    duration_seconds = serializers.IntegerField(
        min_value=60, max_value=90 * 86400, default=7200,
        help_text="Duration of the silence in seconds, starting now.",
    )  # fmt: skip
    comment = serializers.CharField(max_length=4000, help_text="Reason for the silence.")
    matchers = MatcherSerializer(
        many=True, required=False,
        help_text="Which alerts to silence. Default: equality matchers for all labels of this alert.",
    )  # fmt: skip


class SilenceSerializer(serializers.ModelSerializer[Silence]):
    upstream = serializers.SlugRelatedField(  # type: ignore[var-annotated]
        slug_field="name",
        read_only=True,
        help_text="Name of the Alertmanager that holds the silence.",
    )
    state = serializers.SerializerMethodField()
    matchers = MatcherSerializer(many=True)

    class Meta:
        model = Silence
        fields = (
            "id", "silence_id", "upstream", "state", "matchers", "comment", "created_by", "starts_at", "ends_at",
            "updated_at",
        )  # fmt: skip
        read_only_fields = fields
        extra_kwargs = described(
            id="Id of the silence in this API.", silence_id="Id of the silence in its Alertmanager."
        )

    @extend_schema_field(serializers.ChoiceField(choices=SILENCE_STATES))
    def get_state(self, silence: Silence) -> str:
        return silence.state(at=self.context["now"])


class PreviewSilenceSerializer(serializers.Serializer[Any]):
    upstream = serializers.SlugField(help_text="Name of the Alertmanager.")
    matchers = MatcherSerializer(many=True)


class CreateSilenceSerializer(PreviewSilenceSerializer):
    starts_at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="Default: now."
    )
    ends_at = serializers.DateTimeField()
    comment = serializers.CharField(max_length=4000, help_text="Reason for the silence.")


class ChangeSilenceSerializer(serializers.Serializer[Any]):
    matchers = MatcherSerializer(many=True)
    ends_at = serializers.DateTimeField()
    comment = serializers.CharField(max_length=4000, help_text="Reason for the silence.")


class PreviewSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField(help_text="Number of open alerts that match.")
    alerts = AlertSerializer(many=True, help_text="The first 100 of them.")


class HookAcceptedSerializer(serializers.Serializer[Any]):
    accepted = serializers.IntegerField(help_text="Number of alerts in the delivery.")
    duplicate = serializers.BooleanField(
        help_text="True if the same body has been delivered before."
    )
