"""`errors/` and its verbs: thin views over the services."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audit.viewsets import PortalViewSet
from monitoring.errors import serializers, services
from monitoring.errors.filters import ErrorIssueFilter
from monitoring.errors.models import ErrorIssue
from portal.core.http import UpstreamError
from portal.core.problems import Conflict, UpstreamFailed


@extend_schema_view(list=extend_schema(filters=True))
class ErrorIssueViewSet(mixins.RetrieveModelMixin, PortalViewSet):
    """Application errors (issues in Sentry), latest event first."""

    queryset = ErrorIssue.objects.select_related("upstream", "service")
    serializer_class = serializers.ErrorIssueSerializer
    filterset_class = ErrorIssueFilter
    ordering = ("-last_seen_at",)
    ordering_fields = ("last_seen_at", "id")
    write_scope = "monitoring:write"
    write_permission = "monitoring.change_errorissue"

    def get_serializer_class(self) -> Any:
        return (
            serializers.ErrorIssueDetailSerializer
            if self.action == "retrieve"
            else serializers.ErrorIssueSerializer
        )

    @extend_schema(
        request=serializers.ErrorTextSerializer, responses=serializers.ErrorIssueDetailSerializer
    )
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, pk: str | None = None) -> Response:
        """Resolve an error in Sentry. Returns 409 if it is already resolved or gone, 424 if Sentry refuses."""
        return self._act(services.resolve, **_text(request))

    @extend_schema(
        request=serializers.ErrorTextSerializer, responses=serializers.ErrorIssueDetailSerializer
    )
    @action(detail=True, methods=["post"])
    def ignore(self, request: Request, pk: str | None = None) -> Response:
        """Ignore (archive) an error in Sentry. Returns 409 if it is already ignored or gone, 424 if Sentry refuses."""
        return self._act(services.ignore, **_text(request))

    @extend_schema(
        request=serializers.ErrorTextSerializer, responses=serializers.ErrorIssueDetailSerializer
    )
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, pk: str | None = None) -> Response:
        """Reopen an error in Sentry. Returns 409 if it is already unresolved or gone, 424 if Sentry refuses."""
        return self._act(services.reopen, **_text(request))

    @extend_schema(
        request=serializers.AssignErrorSerializer, responses=serializers.ErrorIssueDetailSerializer
    )
    @action(detail=True, methods=["post"])
    def assign(self, request: Request, pk: str | None = None) -> Response:
        """Assign an error in Sentry, or unassign it. Returns 409 if nothing would change, 424 if Sentry refuses."""
        body = serializers.AssignErrorSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        data = body.validated_data
        return self._act(services.assign, to=data["to"] or "", text=data["text"])

    def _act(self, verb: Callable[..., services.Result], **arguments: Any) -> Response:
        issue = self.get_object()
        try:
            result = verb([issue], actor=None, **arguments)
        except UpstreamError as error:
            raise UpstreamFailed(str(error)) from error
        if not result.changed:
            raise Conflict("The error is already in this state, or Sentry no longer has it.")
        fresh = self.get_queryset().get(pk=issue.pk)
        context = self.get_serializer_context()
        return Response(serializers.ErrorIssueDetailSerializer(fresh, context=context).data)


def _text(request: Request) -> dict[str, Any]:
    body = serializers.ErrorTextSerializer(data=request.data)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)


ROUTES = [("errors", ErrorIssueViewSet, "error")]
