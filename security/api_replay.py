"""`detections/replay/`: what the rules would have flagged; a thin view over the service."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portal.core.problems import Conflict
from security import replay
from security.models import Scope
from security.models.flags import validate_thresholds
from security.rules.engine import RULES
from security.rules.finding import Finding, severity

RULE_CHOICES = [(rule.id, rule.title) for rule in RULES.values()]
LONGEST_REPLAY = timedelta(days=93)


class ReplaySerializer(serializers.Serializer[Any]):
    """A range of at most 93 days; without rules, those that are on."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField(required=False)
    rules = serializers.ListField(
        child=serializers.ChoiceField(choices=RULE_CHOICES), required=False, max_length=50
    )
    thresholds = serializers.DictField(
        child=serializers.JSONField(), required=False, help_text='{"scanner": {"missing": 20}}'
    )

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        given.setdefault("until", timezone.now())
        if not timedelta(0) < given["until"] - given["since"] <= LONGEST_REPLAY:
            raise ValidationError({"until": ["It must be after `since`, by at most 93 days."]})
        return given

    def validate_thresholds(self, given: dict[str, Any]) -> dict[str, Any]:
        for rule_id, thresholds in given.items():
            if rule_id not in RULES:
                raise ValidationError(
                    f"{rule_id[:50]!r} is not a rule. Available rules: {', '.join(RULES)}."
                )
            validate_thresholds(RULES[rule_id], thresholds)
        return given


class FindingSerializer(serializers.Serializer[Any]):
    rule = serializers.CharField()
    severity = serializers.CharField()
    score = serializers.IntegerField()
    subject_kind = serializers.CharField()
    subject = serializers.CharField()
    subject_name = serializers.CharField()
    sentence = serializers.CharField()
    counts = serializers.DictField(child=serializers.IntegerField())
    first_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()
    evidence = serializers.ListField(child=serializers.IntegerField())
    services = serializers.ListField(
        child=serializers.CharField(),
        help_text="Slugs of the services named by the counted entries.",
    )


class ReplayResultSerializer(serializers.Serializer[Any]):
    events = serializers.IntegerField()
    is_truncated = serializers.BooleanField(
        help_text="The range contains more events or subjects than were evaluated."
    )
    findings = FindingSerializer(many=True)


def shown(finding: Finding) -> Mapping[str, Any]:
    """Return a finding as the API and the admin show it."""
    return {
        "rule": finding.rule, "severity": severity(finding.score), "score": finding.score,
        "subject_kind": finding.subject_kind, "subject": finding.subject, "subject_name": finding.name,
        "sentence": finding.sentence, "counts": finding.counts, "evidence": finding.evidence,
        "services": finding.services,
        "first_at": datetime.fromtimestamp(finding.first_at, timezone.get_current_timezone()),
        "last_at": datetime.fromtimestamp(finding.last_at, timezone.get_current_timezone()),
    }  # fmt: skip


class ReplayView(APIView):
    """What the rules would have flagged in a range of the past. Nothing is written."""

    read_scope = write_scope = Scope.SECURITY_WRITE
    write_permission = "security.change_rulesetting"

    @extend_schema(request=ReplaySerializer, responses=ReplayResultSerializer)
    def post(self, request: Request) -> Response:
        """Replay the trail of a range with the given rules and thresholds; 409 while another replay runs."""
        serializer = ReplaySerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        try:
            done = replay.replay(
                since=given["since"], until=given["until"], rules=given.get("rules", ()),
                thresholds=given.get("thresholds"),
            )  # fmt: skip
        except replay.ReplayBusyError as error:
            raise Conflict(str(error)) from error
        findings = [shown(finding) for finding in done.findings]
        facts = {"events": done.events, "is_truncated": done.is_truncated, "findings": findings}
        return Response(ReplayResultSerializer(facts).data)
