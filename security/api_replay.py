"""`detections/replay/`: what the detection rules would have flagged; a thin view over the service."""

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
    """A time range of at most 93 days, with the rules and thresholds to apply."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField(required=False, help_text="Default: now.")
    rules = serializers.ListField(
        child=serializers.ChoiceField(choices=RULE_CHOICES),
        required=False,
        max_length=50,
        help_text="Rules to apply. Default: all enabled rules.",
    )
    thresholds = serializers.DictField(
        child=serializers.JSONField(),
        required=False,
        help_text='Thresholds by rule, for example `{"scanner": {"missing": 20}}`.',
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
    """What a rule would have flagged."""

    rule = serializers.CharField(help_text="Id of the rule.")
    severity = serializers.CharField()
    score = serializers.IntegerField(help_text="Score from 0 to 100.")
    subject_kind = serializers.CharField(help_text="`address`, `account` or `token`.")
    subject = serializers.CharField(help_text="IP address, or id of the account or token.")
    subject_name = serializers.CharField(help_text="Name of the account or token.")
    sentence = serializers.CharField(help_text="What was detected.")
    counts = serializers.DictField(
        child=serializers.IntegerField(), help_text="Numbers that led to the finding, by name."
    )
    first_at = serializers.DateTimeField(help_text="Time of the first audit entry.")
    last_at = serializers.DateTimeField(help_text="Time of the latest audit entry.")
    evidence = serializers.ListField(
        child=serializers.IntegerField(), help_text="Ids of the audit entries."
    )
    services = serializers.ListField(
        child=serializers.CharField(),
        help_text="Slugs of the services named in the audit entries.",
    )


class ReplayResultSerializer(serializers.Serializer[Any]):
    events = serializers.IntegerField(help_text="Number of audit entries evaluated.")
    is_truncated = serializers.BooleanField(
        help_text="True if the range contains more entries or subjects than were evaluated."
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
    """What the detection rules would have flagged in the past. Nothing is written."""

    read_scope = write_scope = Scope.SECURITY_WRITE
    write_permission = "security.change_rulesetting"

    @extend_schema(request=ReplaySerializer, responses=ReplayResultSerializer)
    def post(self, request: Request) -> Response:
        """Replay the audit trail through the detection rules. Returns 409 while another replay is running."""
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
