"""`checks/` and `deploys/`."""

from datetime import datetime, timedelta
from typing import Any

import django_filters as filters
from django.core.exceptions import ValidationError as DjangoValidationError
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audit.viewsets import PortalModelViewSet, PortalViewSet
from monitoring import deploys
from monitoring.api_history import WINDOW, CheckHistorySerializer, check_history, window
from monitoring.checks import services
from monitoring.checks.targets import TargetError, headers_of
from monitoring.models import Check, Deploy, Status
from monitoring.panels import check_promql
from portal.core.api_help import described
from portal.core.models import Service, Upstream

FAR = timedelta(days=1)


class CheckSerializer(serializers.ModelSerializer[Check]):
    service = serializers.SlugRelatedField(
        slug_field="slug", queryset=Service.objects.all(), help_text="Slug of the service."
    )
    upstream = serializers.SlugRelatedField(
        slug_field="name",
        queryset=Upstream.objects.filter(kind=Upstream.Kind.PROMETHEUS),
        required=False,
        allow_null=True,
        help_text="PromQL: name of the Prometheus to query. Default: the first enabled one.",
    )
    headers = serializers.DictField(
        child=serializers.CharField(max_length=2000),
        required=False,
        write_only=True,
        help_text="HTTP: headers to send. Write-only; stored encrypted.",
    )
    status = serializers.SerializerMethodField()
    sentence = serializers.SerializerMethodField(help_text="Explanation of `status`.")

    class Meta:
        model = Check
        fields = (
            "id", "service", "name", "kind", "target", "method", "expected_status", "body_pattern",
            "follow_redirects", "verify_tls", "headers", "degraded_after_seconds", "expiry_warning_days", "upstream",
            "promql", "comparison", "threshold", "enabled", "interval_seconds", "timeout_seconds",
            "failures_to_flip", "successes_to_recover", "severity", "raises_alert", "status", "sentence", "since",
            "last_run_at", "latency_seconds", "certificate_ends_at", "created_at",
        )  # fmt: skip
        read_only_fields = (
            "since", "last_run_at", "latency_seconds", "certificate_ends_at", "created_at"
        )  # fmt: skip
        extra_kwargs = described(
            method="HTTP: request method.",
            verify_tls="Verify the certificate of the server.",
            degraded_after_seconds="The status is degraded if the response takes longer than this, in seconds.",
            promql="PromQL: the expression to evaluate.",
            interval_seconds="Time between two runs in seconds.",
            timeout_seconds="Timeout of a run in seconds.",
            failures_to_flip="Number of consecutive bad results before the status gets worse.",
            successes_to_recover="Number of consecutive good results before the status gets better.",
            severity="Severity of the alert that is raised while the check fails.",
            raises_alert="Raise an alert while the check fails.",
            since="When the status last changed.",
            latency_seconds="Latency of the last run in seconds.",
            certificate_ends_at="When the TLS certificate expires.",
        )

    @extend_schema_field(serializers.ChoiceField(choices=Status.choices))
    def get_status(self, check: Check) -> str:
        return check.shown(at=timezone.now())[0]

    @extend_schema_field(serializers.CharField())
    def get_sentence(self, check: Check) -> str:
        return check.shown(at=timezone.now())[1]

    def validate_headers(self, headers: dict[str, str]) -> dict[str, str]:
        try:
            return headers_of(headers)
        except TargetError as error:
            raise serializers.ValidationError(str(error)) from error

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Let the model's own rules look at the whole, old and new together."""
        fields = (
            {f.name: getattr(self.instance, f.name) for f in Check._meta.fields}
            if self.instance
            else {}
        )
        whole = Check(**{**fields, **attrs})
        try:
            whole.clean()
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.message_dict) from error
        if "target" in attrs:
            attrs["target"] = whole.target
        asked = attrs.get("promql", "") if whole.kind == Check.Kind.PROMQL else ""
        if asked and (objection := check_promql(asked, whole.upstream)):
            raise serializers.ValidationError({"promql": [objection]})
        return attrs

    def create(self, validated_data: dict[str, Any]) -> Check:
        return services.save(Check(**validated_data))

    def update(self, instance: Check, validated_data: dict[str, Any]) -> Check:
        for name, value in validated_data.items():
            setattr(instance, name, value)
        return services.save(instance, changed=validated_data)


class AnswerSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=Status.choices)
    sentence = serializers.CharField(help_text="Explanation of `status`.")
    latency_seconds = serializers.FloatField(
        allow_null=True, help_text="Latency in seconds; null if there was no response."
    )


class CheckFilter(filters.FilterSet):
    service = filters.CharFilter(field_name="service__slug", help_text="Slug of the service.")

    class Meta:
        model = Check
        fields = ("kind", "enabled", "status")


@extend_schema_view(list=extend_schema(filters=True))
class CheckViewSet(PortalModelViewSet):
    """Synthetic checks of services, with their latest results."""

    queryset = Check.objects.select_related("service", "upstream").order_by("id")
    serializer_class = CheckSerializer
    filterset_class = CheckFilter
    ordering = ("id",)
    ordering_fields = ("id",)
    write_scope = "monitoring:write"

    def perform_destroy(self, instance: Check) -> None:
        services.delete(instance)

    @extend_schema(request=None, responses=AnswerSerializer)
    @action(detail=True, methods=["post"])
    def run(self, request: Request, pk: str | None = None) -> Response:
        """Run a check now. The result counts like that of a scheduled run."""
        answer = services.run_now(self.get_object(), actor=None)
        return Response(AnswerSerializer(answer).data)

    @extend_schema(parameters=[WINDOW], responses=CheckHistorySerializer)
    @action(detail=True, methods=["get"])
    def history(self, request: Request, pk: str | None = None) -> Response:
        """Get the history of a check. Returns uptime, periods by status, and results and latency per hour."""
        return Response(check_history(self.get_object(), *window(request)))


class DeploySerializer(serializers.ModelSerializer[Deploy]):
    service = serializers.SlugRelatedField(
        slug_field="slug", queryset=Service.objects.all(), help_text="Slug of the service."
    )
    uid = serializers.UUIDField(
        required=False, help_text="Idempotency key: send the same value when you repeat a request."
    )
    at = serializers.DateTimeField(
        required=False, help_text="When the deploy happened. Default: now."
    )

    class Meta:
        model = Deploy
        fields = (
            "id", "uid", "service", "version", "environment", "revision", "url", "description", "actor", "at",
            "recorded_at",
        )  # fmt: skip
        read_only_fields = ("actor", "recorded_at")
        extra_kwargs = described(
            environment="For example production or staging.",
            revision="Commit that was deployed.",
            url="URL of the pipeline run.",
            actor="User or token that recorded the deploy.",
        )

    def validate_at(self, value: datetime) -> datetime:
        if value > timezone.now() + FAR:
            raise serializers.ValidationError(
                "A deploy cannot be more than a day in the future. Check the clock."
            )
        return value


class DeployFilter(filters.FilterSet):
    service = filters.CharFilter(field_name="service__slug", help_text="Slug of the service.")
    since = filters.IsoDateTimeFilter(
        field_name="at", lookup_expr="gte", help_text="Deploys at or after this time (RFC 3339)."
    )
    until = filters.IsoDateTimeFilter(
        field_name="at", lookup_expr="lte", help_text="Deploys at or before this time (RFC 3339)."
    )

    class Meta:
        model = Deploy
        fields = ("environment", "version")


@extend_schema_view(list=extend_schema(filters=True))
class DeployViewSet(mixins.RetrieveModelMixin, PortalViewSet):
    """Deploys of services, which are marked on the charts."""

    queryset = Deploy.objects.select_related("service")
    serializer_class = DeploySerializer
    filterset_class = DeployFilter
    ordering = ("-at", "-id")
    ordering_fields = ("at", "id")
    write_scope = "monitoring:write"

    @extend_schema(
        request=DeploySerializer, responses={200: DeploySerializer, 201: DeploySerializer}
    )
    def create(self, request: Request) -> Response:
        """Record a deploy. If the `uid` is known, returns the existing deploy with status 200."""
        given = self.get_serializer(data=request.data)
        given.is_valid(raise_exception=True)
        deploy, created = deploys.register(actor=None, **given.validated_data)
        return Response(self.get_serializer(deploy).data, status=201 if created else 200)


ROUTES = [("checks", CheckViewSet, "check"), ("deploys", DeployViewSet, "deploy")]
