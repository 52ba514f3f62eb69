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
from portal.core.models import Service, Upstream, UpstreamKind


class RuleSerializer(serializers.ModelSerializer[Rule]):
    service = serializers.SlugRelatedField(
        slug_field="slug", queryset=Service.objects.all(), required=False, allow_null=True
    )
    upstream = serializers.SlugRelatedField(
        slug_field="name",
        queryset=Upstream.objects.filter(kind=UpstreamKind.PROMETHEUS),
        required=False,
        allow_null=True,
    )
    labels = serializers.JSONField(required=False, validators=[validate_rule_labels])
    annotations = serializers.JSONField(required=False, validators=[validate_annotations])

    class Meta:
        model = Rule
        fields = (
            "id", "group", "name", "expr", "for_duration", "keep_firing_for", "severity", "service", "labels",
            "summary", "description", "runbook_url", "annotations", "upstream", "position", "enabled", "accepted_at",
            "loaded_state", "loaded_error", "created_at",
        )  # fmt: skip
        read_only_fields = ("accepted_at", "loaded_state", "loaded_error", "created_at")
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
    labels = serializers.DictField(child=serializers.CharField())
    annotations = serializers.DictField(child=serializers.CharField())
    value = serializers.CharField()


class RulePreviewSerializer(serializers.Serializer[Any]):
    """`error` says why nothing could be shown; the status is 200 all the same."""

    count = serializers.IntegerField(help_text="Number of series the expression returns now.")
    firing = FiringSerializer(many=True, help_text="The first 50 of them, or the 50 highest.")
    warning = serializers.CharField()
    note = serializers.CharField()
    error = serializers.CharField()
    upstream = serializers.CharField()


class YamlRenderer(BaseRenderer):
    """Only for the negotiation: the file is rendered already, and a problem stays JSON."""

    media_type = "text/yaml"
    format = "yaml"

    def render(self, data: Any, *_args: Any, **_kwargs: Any) -> bytes:
        return JSONRenderer().render(data)


class RuleFilter(filters.FilterSet):
    service = filters.CharFilter(field_name="service__slug")
    loaded_state = filters.ChoiceFilter(choices=LoadedState.choices[1:])

    class Meta:
        model = Rule
        fields = ("group", "severity", "enabled")


class RuleFileSerializer(serializers.Serializer[Any]):
    """Prometheus's own form of a rule file."""

    groups = serializers.ListField(child=serializers.DictField())


@extend_schema_view(list=extend_schema(filters=True))
class RuleViewSet(PortalModelViewSet):
    """Alert rules. Prometheus evaluates them once their file is exported to it."""

    queryset = Rule.objects.select_related("service", "upstream").order_by("id")
    serializer_class = RuleSerializer
    filterset_class = RuleFilter
    ordering = ("id",)
    ordering_fields = ("id",)
    write_scope = "monitoring:write"

    @extend_schema(request=RuleSerializer, responses=RulePreviewSerializer)
    @action(detail=False, methods=["post"])
    def preview(self, request: Request) -> Response:
        """Run the expression of a rule that need not be saved, and show what would fire."""
        given = PreviewedSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(RulePreviewSerializer(preview(Rule(**given.validated_data))).data)

    @extend_schema(
        parameters=[
            OpenApiParameter("upstream", str, description="Only rules of this Prometheus.")
        ],
        responses={
            (200, "text/yaml"): RuleFileSerializer,
            304: OpenApiResponse(description="As before."),
        },
        filters=False,
    )
    @action(
        detail=False, methods=["get"], filterset_class=None, pagination_class=None,
        renderer_classes=[JSONRenderer, YamlRenderer],
    )  # fmt: skip
    def export(self, request: Request) -> HttpResponseBase:
        """The rule file of Prometheus. Send `If-None-Match` with the last `ETag` to learn of changes."""
        return file_response(request, request.query_params.get("upstream", ""))


class PreviewedSerializer(RuleSerializer):
    """A rule to look at: the database has no say in its name."""

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
