"""The serializers of errors (docs/errors.md)."""

from typing import Any

from rest_framework import serializers

from monitoring.errors.models import ErrorIssue, ErrorTransition, IssueStatus
from portal.core.api_help import described


class ErrorIssueSerializer(serializers.ModelSerializer[ErrorIssue]):
    """An issue in Sentry."""

    upstream = serializers.SlugRelatedField(  # type: ignore[var-annotated]
        slug_field="name", read_only=True, help_text="Name of the Sentry upstream."
    )
    service = serializers.SlugRelatedField(  # type: ignore[var-annotated]
        slug_field="slug", read_only=True, allow_null=True,
        help_text="Slug of the service; null if no service matches.",
    )  # fmt: skip
    status = serializers.ChoiceField(choices=IssueStatus.choices, read_only=True)

    class Meta:
        model = ErrorIssue
        fields: tuple[str, ...] = (
            "id", "issue_id", "short_id", "upstream", "project", "service", "title", "culprit", "level", "platform",
            "status", "substatus", "count", "user_count", "assigned_to", "permalink", "first_seen_at",
            "last_seen_at", "regressed_at", "gone_at",
        )  # fmt: skip
        read_only_fields = fields
        extra_kwargs = described(
            id="Id of the error in this API.",
            issue_id="Id of the issue in Sentry.",
            short_id="Short id of the issue in Sentry, for example `SHOP-1A`.",
            project="Slug of the Sentry project.",
            culprit="Sentry's culprit: the function or location the error comes from.",
            level="Level of the event, for example error, warning or fatal.",
            substatus="Sentry's substatus, for example new, regressed or ongoing.",
            count="Total number of events.",
            user_count="Number of affected users.",
            assigned_to="Assignee in Sentry; empty if the issue is not assigned.",
            permalink="URL of the issue in Sentry.",
            first_seen_at="Time of the first event.",
            last_seen_at="Time of the latest event.",
            regressed_at="When the issue last regressed.",
            gone_at="When Sentry stopped listing the issue; null while it is listed.",
        )


class ErrorTransitionSerializer(serializers.ModelSerializer[ErrorTransition]):
    """One change in the history of an error."""

    class Meta:
        model = ErrorTransition
        fields = ("id", "kind", "at", "recorded_at", "source", "actor", "text")
        read_only_fields = fields
        extra_kwargs = described(
            at="When the change happened.",
            recorded_at="When the portal recorded the change.",
            actor="User or token that made the change; empty if it was made in Sentry.",
        )


class ErrorIssueDetailSerializer(ErrorIssueSerializer):
    transitions = ErrorTransitionSerializer(many=True, read_only=True)
    trend = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField()),
        read_only=True,
        help_text="Pairs of Unix time and number of events, as reported by Sentry; may be empty.",
    )

    class Meta(ErrorIssueSerializer.Meta):
        fields = (*ErrorIssueSerializer.Meta.fields, "trend", "transitions")
        read_only_fields = fields


class ErrorTextSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(
        required=False, allow_blank=True, max_length=1000, default="",
        help_text="Optional comment, recorded with the action.",
    )  # fmt: skip


class AssignErrorSerializer(ErrorTextSerializer):
    to = serializers.CharField(
        allow_null=True,
        allow_blank=True,
        max_length=200,
        help_text="E-mail address, user name, `user:ID` or `team:ID` in Sentry; null removes the assignment.",
    )


class ErrorHourSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField(help_text="Start of the hour.")
    events = serializers.IntegerField(help_text="Number of events.")


class ErrorCountsSerializer(serializers.Serializer[Any]):
    """Error counts; except for `unresolved`, of the last 24 hours."""

    unresolved = serializers.IntegerField(help_text="Number of unresolved errors.")
    new = serializers.IntegerField(help_text="Number of new errors.")
    regressed = serializers.IntegerField(help_text="Number of errors that regressed.")
    users = serializers.IntegerField(
        help_text="Sum of the affected users of all errors seen; users affected by several errors count several times."
    )
    events = serializers.IntegerField(help_text="Number of events.")
    trend = ErrorHourSerializer(many=True, help_text="Number of events per hour.")


class ServiceErrorsSerializer(ErrorCountsSerializer):
    last_seen_at = serializers.DateTimeField(
        allow_null=True, help_text="Time of the latest event of an unresolved error."
    )
    blind = serializers.CharField(
        help_text="Why these numbers may be out of date; empty if all Sentry data is live."
    )
