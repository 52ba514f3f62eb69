"""`scrape-targets/`: what Prometheus should scrape."""

from typing import Any

import django_filters as filters
from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers

from audit.viewsets import PortalModelViewSet
from monitoring.discovery.models import ScrapeTarget, validate_target_labels
from portal.core.models import Service


class ScrapeTargetSerializer(serializers.ModelSerializer[ScrapeTarget]):
    service = serializers.SlugRelatedField(
        slug_field="slug", queryset=Service.objects.all(), help_text="Slug of the service."
    )
    labels = serializers.JSONField(
        required=False,
        validators=[validate_target_labels],
        help_text="Labels to add to the metrics.",
    )

    class Meta:
        model = ScrapeTarget
        fields = (
            "id", "service", "address", "scheme", "metrics_path", "labels", "enabled", "created_at"
        )  # fmt: skip
        read_only_fields = ("created_at",)
        validators: list[
            Any
        ] = []  # the constraint is asked below, once the address has its one spelling

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Let the model's own rules look at the whole, old and new together."""
        fields = (
            {f.name: getattr(self.instance, f.name) for f in ScrapeTarget._meta.fields}
            if self.instance
            else {}
        )
        whole = ScrapeTarget(**{**fields, **attrs})
        whole._state.adding = self.instance is None
        try:
            whole.clean()
            whole.validate_constraints()
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.message_dict) from error
        return {**attrs, "address": whole.address}


class ScrapeTargetFilter(filters.FilterSet):
    service = filters.CharFilter(field_name="service__slug", help_text="Slug of the service.")

    class Meta:
        model = ScrapeTarget
        fields = ("enabled", "scheme")


@extend_schema_view(list=extend_schema(filters=True))
class ScrapeTargetViewSet(PortalModelViewSet):
    """Scrape targets of services. Prometheus discovers the enabled ones from `discovery/prometheus/`."""

    queryset = ScrapeTarget.objects.select_related("service").order_by("id")
    serializer_class = ScrapeTargetSerializer
    filterset_class = ScrapeTargetFilter
    ordering = ("id",)
    ordering_fields = ("id",)
    write_scope = "monitoring:write"


ROUTES = [("scrape-targets", ScrapeTargetViewSet, "scrapetarget")]
