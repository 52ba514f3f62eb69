"""`rules/`, `rules/preview/` and `rules/export/`."""

from typing import Any

import django_filters as filters
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from audit.viewsets import PortalModelViewSet
from monitoring.models import LoadedState, Rule
from monitoring.rules import expressions, services
from monitoring.rules.models import validate_annotations, validate_rule_labels
from monitoring.rules.preview import preview
from portal.core.api_help import described
from portal.core.models import Service, Upstream, UpstreamKind


class RuleSerializer(serializers.ModelSerializer[Rule]):
    service = serializers.SlugRelatedField(
        slug_field="slug",
        queryset=Service.objects.all(),
        required=False,
        allow_null=True,
        help_text="Slug of the service; becomes the `service` label.",
    )
    upstream = serializers.SlugRelatedField(
        slug_field="name",
        queryset=Upstream.objects.filter(kind=UpstreamKind.PROMETHEUS),
        required=False,
        allow_null=True,
        help_text="Name of the Prometheus that evaluates the rule; null for all.",
    )
    labels = serializers.JSONField(
        required=False, validators=[validate_rule_labels], help_text="Further labels of the alert."
    )
    annotations = serializers.JSONField(
        required=False,
        validators=[validate_annotations],
        help_text="Further annotations; may be templates.",
    )

    class Meta:
        model = Rule
        fields = (
            "id", "group", "name", "expr", "for_duration", "keep_firing_for", "severity", "service", "labels",
            "summary", "description", "runbook_url", "annotations", "upstream", "position", "enabled", "accepted_at",
            "loaded_state", "loaded_error", "created_at",
        )  # fmt: skip
        read_only_fields = ("accepted_at", "loaded_state", "loaded_error", "created_at")
        extra_kwargs = described(
            group="Name of the rule group. Rules of a group are evaluated one after the other.",
            name="Name of the alert, for example ShopIsSlow.",
            for_duration="How long the expression must hold before the alert fires, for example 5m; "
            "0 fires at once.",
            keep_firing_for="How long the alert keeps firing after the expression no longer holds, "
            "for example 5m. Requires Prometheus 2.42.",
            severity="Value of the `severity` label, for example critical.",
            summary="Summary in one sentence; may be a template with {{ $labels.instance }} and "
            "{{ $value | humanize }}.",
            description="Longer description; may be a template.",
            runbook_url="URL of the runbook. Default: the runbook of the service.",
            position="Order within the group, ascending.",
            accepted_at="When Prometheus accepted the expression; null if none was available to check it.",
            loaded_error="Evaluation error reported by Prometheus; may be empty.",
        )
        validators: list[Any] = []  # the constraint is asked below, old and new together

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        whole = whole_of(self.instance, attrs)
        try:
            whole.clean()
            whole.validate_constraints()
        except DjangoValidationError as error:
            raise ValidationError(error.message_dict) from error
        self.verdict = expressions.examine(whole.expr, whole.upstream)
        if self.verdict.objection:
            raise ValidationError({"expr": [self.verdict.objection]})
        cleaned = {"expr": whole.expr, "description": whole.description}
        return {**attrs, **{name: cleaned[name] for name in cleaned if name in attrs}}

    def create(self, validated_data: dict[str, Any]) -> Rule:
        return services.save(Rule(**validated_data), verdict=self.verdict)

    def update(self, instance: Rule, validated_data: dict[str, Any]) -> Rule:
        for name, value in validated_data.items():
            setattr(instance, name, value)
        return services.save(instance, verdict=self.verdict)


def whole_of(instance: Rule | None, attrs: dict[str, Any]) -> Rule:
    """Return the rule as it would be stored, so that old and new values are judged together."""
    known = {f.name: getattr(instance, f.name) for f in Rule._meta.fields} if instance else {}
    whole = Rule(**{**known, **attrs})
    whole._state.adding = instance is None
    return whole


class FiringSerializer(serializers.Serializer[Any]):
    """An alert that would fire."""

    labels = serializers.DictField(child=serializers.CharField())
    annotations = serializers.DictField(
        child=serializers.CharField(), help_text="Annotations with templates expanded."
    )
    value = serializers.CharField(help_text="Current value of the expression.")


class RulePreviewSerializer(serializers.Serializer[Any]):
    """What a rule would do now. If the query fails, the status is still 200 and `error` says why."""

    count = serializers.IntegerField(help_text="Number of series that the expression returns now.")
    firing = FiringSerializer(many=True, help_text="At most 50 of them, as alerts.")
    warning = serializers.CharField(help_text="What to consider before saving; may be empty.")
    note = serializers.CharField(help_text="Remark on the preview; may be empty.")
    error = serializers.CharField(
        help_text="Why there is no preview; empty if the query succeeded."
    )
    upstream = serializers.CharField(help_text="Name of the Prometheus that was queried.")


class YamlRenderer(BaseRenderer):
    """Only for the negotiation: the file is rendered already, and a problem stays JSON."""

    media_type = "text/yaml"
    format = "yaml"

    def render(self, data: Any, *_args: Any, **_kwargs: Any) -> bytes:
        return JSONRenderer().render(data)


class RuleFilter(filters.FilterSet):
    service = filters.CharFilter(field_name="service__slug", help_text="Slug of the service.")
    loaded_state = filters.ChoiceFilter(choices=LoadedState.choices[1:])

    class Meta:
        model = Rule
        fields = ("group", "severity", "enabled")


class RuleFileSerializer(serializers.Serializer[Any]):
    """A Prometheus rule file."""

    groups = serializers.ListField(child=serializers.DictField())


@extend_schema_view(list=extend_schema(filters=True))
class RuleViewSet(PortalModelViewSet):
    """Alert rules. Prometheus evaluates them once it has loaded the exported rule file."""

    queryset = Rule.objects.select_related("service", "upstream").order_by("id")
    serializer_class = RuleSerializer
    filterset_class = RuleFilter
    ordering = ("id",)
    ordering_fields = ("id",)
    write_scope = "monitoring:write"

    @extend_schema(request=RuleSerializer, responses=RulePreviewSerializer)
    @action(detail=False, methods=["post"])
    def preview(self, request: Request) -> Response:
        """Preview which alerts a rule would fire now. The rule need not be saved."""
        given = PreviewedSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(RulePreviewSerializer(preview(Rule(**given.validated_data))).data)

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "upstream", str, description="Name of a Prometheus; returns only its rules."
            )
        ],
        responses={
            (200, "text/yaml"): RuleFileSerializer,
            304: OpenApiResponse(description="Not modified since the `ETag` in `If-None-Match`."),
        },
        filters=False,
    )
    @action(
        detail=False, methods=["get"], filterset_class=None, pagination_class=None,
        renderer_classes=[JSONRenderer, YamlRenderer],
    )  # fmt: skip
    def export(self, request: Request) -> HttpResponseBase:
        """Export the rules as a Prometheus rule file. Supports `ETag` and `If-None-Match`."""
        return file_response(request, request.query_params.get("upstream", ""))


class PreviewedSerializer(RuleSerializer):
    """A rule to preview, whose name need not be unique."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        whole = whole_of(None, attrs)
        try:
            whole.clean()
        except DjangoValidationError as error:
            raise ValidationError(error.message_dict) from error
        return attrs


def file_response(request: Any, name: str) -> HttpResponseBase:
    """Answer the rule file of the Prometheus `name`, of all without one; 304 when it is known."""
    upstream = None
    if name:
        upstream = Upstream.objects.filter(kind=UpstreamKind.PROMETHEUS, name=name[:100]).first()
        if upstream is None:
            raise ValidationError({"upstream": ["There is no Prometheus with this name."]})
    file = services.export(upstream)
    answer = HttpResponse(file.text, content_type="text/yaml; charset=utf-8")
    answer["ETag"] = file.etag
    answer["Cache-Control"] = "private, no-cache"
    answer["Content-Disposition"] = 'attachment; filename="portal-rules.yml"'
    plain = getattr(request, "_request", request)
    return get_conditional_response(plain, etag=file.etag, response=answer) or answer


ROUTES = [("rules", RuleViewSet, "rule")]
