"""`GET /api/v1/discovery/prometheus/`: the service catalogue as targets, for Prometheus's `http_sd_configs`."""

from typing import Any

from django.http import HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from monitoring.discovery import services
from portal.metrics import may_scrape
from security.authentication import VerifiedSessionAuthentication
from security.models import Scope


class MayDiscover(BasePermission):
    """Whoever may read `/metrics`, or holds the scope read; a person who sees scrape targets in the admin as well."""

    message = (
        "Targets are available with METRICS_TOKEN, with a token that has the scope read or metrics, and from"
        " addresses in METRICS_NETWORKS."
    )

    def has_permission(self, request: Request, view: APIView) -> bool:
        if request.user and request.user.is_authenticated:
            return bool(request.user.has_perm("monitoring.view_scrapetarget"))
        if not may_scrape(request._request, Scope.READ):
            raise PermissionDenied(self.message)
        return True


class TargetGroupSerializer(serializers.Serializer[Any]):
    """A target group of [HTTP service discovery](https://prometheus.io/docs/prometheus/latest/http_sd/)."""

    targets = serializers.ListField(child=serializers.CharField())
    labels = serializers.DictField(child=serializers.CharField())


class PrometheusDiscoveryView(APIView):
    """The enabled scrape targets of all services, for Prometheus."""

    # METRICS_TOKEN is no token of the API: the permission reads the header itself.
    authentication_classes = [VerifiedSessionAuthentication]
    permission_classes = [MayDiscover]

    @extend_schema(
        responses={
            200: TargetGroupSerializer(many=True),
            304: OpenApiResponse(description="Not modified since the `ETag` in `If-None-Match`."),
        }
    )
    def get(self, request: Request) -> HttpResponseBase:
        """List scrape targets for Prometheus HTTP service discovery. Supports `ETag` and `If-None-Match`."""
        found = services.current()
        answer = HttpResponse(found.body, content_type="application/json")
        answer["ETag"] = found.etag
        answer["Cache-Control"] = "private, no-cache"
        return (
            get_conditional_response(request._request, etag=found.etag, response=answer) or answer
        )
