"""`flags/` and `detections/rules/`: thin views over the services."""

from typing import Any

import django_filters as filters
from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from audit.viewsets import PortalViewSet
from portal.core.api_help import described
from portal.core.problems import Conflict
from security import flags, rule_settings
from security.api_blocks import require_fresh
from security.models import Flag, FlagStatus, RuleSetting, Scope, SubjectKind
from security.models.flags import validate_thresholds
from security.permissions import ScopedPermission
from security.rules.engine import RULES
from security.rules.finding import SEVERITIES

RULE_CHOICES = [(rule.id, rule.title) for rule in RULES.values()]


class EvidenceSerializer(serializers.Serializer[Any]):
    """An audit entry that led to a flag. Without the scope `audit:read` only `id` and `at` are returned."""

    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    action = serializers.CharField(required=False)
    outcome = serializers.CharField(required=False)
    reason = serializers.CharField(required=False)
    actor = serializers.CharField(required=False)
    target = serializers.CharField(required=False)
    address = serializers.CharField(required=False)
    path = serializers.CharField(required=False)
    service = serializers.CharField(required=False)


class FlagSerializer(serializers.ModelSerializer[Flag]):
    severity = serializers.ChoiceField(
        choices=[(name, name) for name in reversed(SEVERITIES)], read_only=True
    )
    assigned_to = serializers.CharField(
        source="assigned_to.username",
        default=None,
        allow_null=True,
        read_only=True,
        help_text="User name of the assignee; null if the flag is not assigned.",
    )

    services = serializers.ListField(
        source="service_slugs",
        child=serializers.CharField(),
        read_only=True,
        help_text="Slugs of the services named in the evidence.",
    )

    class Meta:
        model = Flag
        fields: Any = (
            "id", "rule", "title", "severity", "score", "subject_kind", "subject", "subject_name", "sentence", "counts",
            "services", "first_at", "last_at", "opened_at", "status", "assigned_to", "decided_at", "decided_by",
            "decision_reason",
        )  # fmt: skip
        read_only_fields: Any = fields
        extra_kwargs = described(
            rule="Id of the detection rule.",
            score="Score from 0 to 100.",
            subject="IP address, or id of the account or token.",
            subject_name="Name of the account or token.",
            sentence="What was detected.",
            counts="Numbers that led to the flag, by name.",
            first_at="Time of the first audit entry.",
            last_at="Time of the latest audit entry.",
            opened_at="When the flag was opened.",
            decided_at="When the flag was confirmed or dismissed.",
            decided_by="Who confirmed or dismissed the flag.",
        )

    title = serializers.CharField(read_only=True)


class FlagDetailSerializer(FlagSerializer):
    evidence = serializers.SerializerMethodField()

    class Meta(FlagSerializer.Meta):
        fields = (*FlagSerializer.Meta.fields, "evidence")
        read_only_fields = fields

    @extend_schema_field(EvidenceSerializer(many=True))
    def get_evidence(self, flag: Flag) -> list[dict[str, Any]]:
        request = self.context.get("request")
        if request is not None and ScopedPermission.allows(request, Scope.AUDIT_READ):
            return list(flag.evidence)
        return [{"id": fact["id"], "at": fact["at"]} for fact in flag.evidence]


class ReasonSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(
        max_length=1000, default="", allow_blank=True, help_text="Reason for the decision."
    )


class DismissSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=1000, help_text="Reason for the decision.")


class AssignFlagSerializer(serializers.Serializer[Any]):
    user = serializers.CharField(
        max_length=150, allow_null=True,
        help_text="User name of an active account; null removes the assignment.",
    )  # fmt: skip


class FlagFilter(filters.FilterSet):
    status = filters.ChoiceFilter(choices=FlagStatus.choices)
    rule = filters.ChoiceFilter(choices=RULE_CHOICES)
    subject_kind = filters.ChoiceFilter(choices=SubjectKind.choices)
    subject = filters.CharFilter(help_text="Exact IP address, or id of an account or token.")
    service = filters.CharFilter(
        field_name="services__slug",
        max_length=100,
        help_text="Slug of a service named in the evidence.",
    )
    assigned_to = filters.CharFilter(
        field_name="assigned_to__username", help_text="User name of the assignee."
    )
    min_score = filters.NumberFilter(
        field_name="score",
        lookup_expr="gte",
        min_value=0,
        max_value=100,
        help_text="Minimum score, 0 to 100.",
    )
    since = filters.IsoDateTimeFilter(
        field_name="last_at",
        lookup_expr="gte",
        help_text="Last seen at or after this time (RFC 3339).",
    )
    until = filters.IsoDateTimeFilter(
        field_name="last_at", lookup_expr="lt", help_text="Last seen before this time (RFC 3339)."
    )

    class Meta:
        model = Flag
        fields: tuple[str, ...] = ()


@extend_schema_view(list=extend_schema(filters=True))
class FlagViewSet(mixins.RetrieveModelMixin, PortalViewSet):
    """Flags raised by the detection rules, newest first."""

    queryset = Flag.objects.with_services().select_related("assigned_to")
    serializer_class = FlagSerializer
    filterset_class = FlagFilter
    read_permission = "security.view_flag"
    write_scope = Scope.SECURITY_WRITE
    write_permission = "security.change_flag"
    lookup_value_regex = r"\d{1,18}"
    ordering = ("-last_at",)
    ordering_fields = ("last_at", "id")

    def get_serializer_class(self) -> Any:
        return FlagSerializer if self.action == "list" else FlagDetailSerializer

    def _reply(self, result: flags.Result, flag: Flag) -> Response:
        if not result.changed:
            raise Conflict("The flag is already decided or already in this state.")
        fresh = self.get_queryset().get(pk=flag.pk)
        return Response(FlagDetailSerializer(fresh, context=self.get_serializer_context()).data)

    @extend_schema(request=ReasonSerializer, responses=FlagDetailSerializer)
    @action(detail=True, methods=["post"])
    def confirm(self, request: Request, pk: str | None = None) -> Response:
        """Confirm an open flag. This resolves its alert; returns 409 if the flag is already decided."""
        flag, data = self.get_object(), _valid(ReasonSerializer, request)
        return self._reply(flags.confirm([flag], actor=None, reason=data["reason"]), flag)

    @extend_schema(request=DismissSerializer, responses=FlagDetailSerializer)
    @action(detail=True, methods=["post"])
    def dismiss(self, request: Request, pk: str | None = None) -> Response:
        """Dismiss an open flag as harmless. This resolves its alert; returns 409 if the flag is already decided."""
        flag, data = self.get_object(), _valid(DismissSerializer, request)
        return self._reply(flags.dismiss([flag], actor=None, reason=data["reason"]), flag)

    @extend_schema(request=AssignFlagSerializer, responses=FlagDetailSerializer)
    @action(detail=True, methods=["post"])
    def assign(self, request: Request, pk: str | None = None) -> Response:
        """Assign an open flag to a user, or unassign it. Returns 409 if nothing would change."""
        flag, name, user = self.get_object(), _valid(AssignFlagSerializer, request)["user"], None
        if name is not None:
            user = User.objects.filter(username=name, is_active=True).first()
            if user is None:
                raise ValidationError({"user": ["There is no active user with that name."]})
        return self._reply(flags.assign([flag], to=user, actor=None), flag)


def _valid(kind: Any, request: Request) -> dict[str, Any]:
    serializer = kind(data=request.data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


class DetectionRuleSerializer(serializers.ModelSerializer[RuleSetting]):
    """A detection rule and its settings."""

    rule = serializers.CharField(read_only=True, help_text="Id of the rule.")
    title = serializers.CharField(source="spec.title", read_only=True)
    explanation = serializers.CharField(
        source="spec.explanation", read_only=True, help_text="What the rule detects."
    )
    reference = serializers.CharField(
        source="spec.reference",
        read_only=True,
        help_text="Reference to the technique, for example MITRE ATT&CK T1110.001.",
    )
    defaults = serializers.DictField(
        source="spec.defaults", child=serializers.FloatField(), read_only=True,
        help_text="Default thresholds.",
    )  # fmt: skip
    thresholds = serializers.JSONField(
        required=False, help_text="Thresholds that differ from `defaults`."
    )
    precision = serializers.SerializerMethodField(
        help_text="Share of decided flags that were confirmed, 0 to 1; null if none are decided."
    )

    class Meta:
        model = RuleSetting
        fields = ("id", "rule", "title", "explanation", "reference", "enabled", "block_minutes", "defaults",
                  "thresholds", "precision")  # fmt: skip
        extra_kwargs = described(
            block_minutes="Minutes for which a new flag blocks its subject automatically; 0: never."
        )

    @extend_schema_field(serializers.FloatField(allow_null=True))
    def get_precision(self, setting: RuleSetting) -> float | None:
        record = self.context["records"].get(setting.rule)
        return record.precision if record else None

    def validate_thresholds(self, given: Any) -> Any:
        assert isinstance(self.instance, RuleSetting)
        validate_thresholds(self.instance.spec, given)
        return given


class RuleViewSet(mixins.RetrieveModelMixin, PortalViewSet):
    """The detection rules and their settings."""

    queryset = RuleSetting.objects.filter(rule__in=RULES)
    serializer_class = DetectionRuleSerializer
    read_permission = "security.view_rulesetting"
    write_scope = Scope.SECURITY_WRITE
    write_permission = "security.change_rulesetting"
    lookup_field = "rule"
    lookup_value_regex = "[a-z_]{1,50}"
    filterset_class = None
    ordering = ("id",)

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "records": rule_settings.records()}

    @extend_schema(request=DetectionRuleSerializer, responses=DetectionRuleSerializer)
    def partial_update(self, request: Request, rule: str | None = None) -> Response:
        """Update the settings of a detection rule."""
        require_fresh(request)
        serializer = self.get_serializer(self.get_object(), data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        rule_settings.change(self.get_object(), actor=None, **serializer.validated_data)
        return Response(self.get_serializer(self.get_object()).data)


ROUTES = [("flags", FlagViewSet, "flag"), ("detections/rules", RuleViewSet, "detection-rule")]
