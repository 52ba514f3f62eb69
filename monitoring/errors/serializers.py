"""Errors in the API's words (docs/errors.md)."""

from typing import Any

from rest_framework import serializers

from monitoring.errors.models import ErrorIssue, ErrorTransition, IssueStatus


class ErrorIssueSerializer(serializers.ModelSerializer[ErrorIssue]):
    upstream = serializers.SlugRelatedField(slug_field="name", read_only=True)  # type: ignore[var-annotated]
    service = serializers.SlugRelatedField(slug_field="slug", read_only=True, allow_null=True)  # type: ignore[var-annotated]
    status = serializers.ChoiceField(choices=IssueStatus.choices, read_only=True)

    class Meta:
        model = ErrorIssue
        fields: tuple[str, ...] = (
            "id", "issue_id", "short_id", "upstream", "project", "service", "title", "culprit", "level", "platform",
            "status", "substatus", "count", "user_count", "assigned_to", "permalink", "first_seen_at",
            "last_seen_at", "regressed_at", "gone_at",
        )  # fmt: skip
        read_only_fields = fields


class ErrorTransitionSerializer(serializers.ModelSerializer[ErrorTransition]):
    class Meta:
        model = ErrorTransition
        fields = ("id", "kind", "at", "recorded_at", "source", "actor", "text")
        read_only_fields = fields


class ErrorIssueDetailSerializer(ErrorIssueSerializer):
    transitions = ErrorTransitionSerializer(many=True, read_only=True)
    trend = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField()),
        read_only=True,
        help_text="[[Unix seconds, events], …] as in Sentry's list; empty if the list had none.",
    )

    class Meta(ErrorIssueSerializer.Meta):
        fields = (*ErrorIssueSerializer.Meta.fields, "trend", "transitions")
        read_only_fields = fields


class ErrorTextSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(required=False, allow_blank=True, max_length=1000, default="")


class AssignErrorSerializer(ErrorTextSerializer):
    to = serializers.CharField(
        allow_null=True,
        allow_blank=True,
        max_length=200,
        help_text="E-mail address, user name, `user:ID` or `team:ID` of Sentry; null for nobody.",
    )


class ErrorHourSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    events = serializers.IntegerField()


class ErrorCountsSerializer(serializers.Serializer[Any]):
    """`new` and `regressed` are of the last 24 hours; `trend` is events per hour over them."""

    unresolved = serializers.IntegerField()
    new = serializers.IntegerField()
    regressed = serializers.IntegerField()
    users = serializers.IntegerField(help_text="Sum over the issues of the last 24 hours.")
    events = serializers.IntegerField()
    trend = ErrorHourSerializer(many=True)


class ServiceErrorsSerializer(ErrorCountsSerializer):
    last_seen_at = serializers.DateTimeField(
        allow_null=True, help_text="Latest event of an unresolved error."
    )
    blind = serializers.CharField(
        help_text="Why these numbers may be out of date; empty when every Sentry answered in time."
    )
