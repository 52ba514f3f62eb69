"""`alerts/`, `silences/` and the webhook: thin views over the services."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, ParseError, ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts import hooks, serializers, services, silences
from alerts.filters import AlertFilter, SilenceFilter
from alerts.models import Alert, Silence
from alerts.notification_api import ExplainMixin
from alerts.payloads import PayloadError
from alerts.tasks import process_deliveries
from audit.viewsets import PortalViewSet
from portal.core.http import UpstreamError
from portal.core.matchers import Matcher
from portal.core.models import Upstream
from portal.core.problems import Conflict, UpstreamFailed, read_body

PREVIEW_SIZE = 100


@extend_schema_view(list=extend_schema(filters=True))
class AlertViewSet(ExplainMixin, mixins.RetrieveModelMixin, PortalViewSet):
    """Alert episodes, newest first."""

    queryset = Alert.objects.select_related("upstream", "service", "assigned_to")
    serializer_class = serializers.AlertSerializer
    filterset_class = AlertFilter
    ordering = ("-starts_at",)
    ordering_fields = ("starts_at", "id")
    write_scope = "alerts:write"

    def get_serializer_class(self) -> Any:
        return (
            serializers.AlertDetailSerializer
            if self.action == "retrieve"
            else serializers.AlertSerializer
        )

    def _reply(self, alert: Alert) -> Response:
        fresh = self.get_queryset().get(pk=alert.pk)
        return Response(
            serializers.AlertDetailSerializer(fresh, context=self.get_serializer_context()).data
        )

    @extend_schema(request=serializers.TextSerializer, responses=serializers.AlertDetailSerializer)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, pk: str | None = None) -> Response:
        """Acknowledge an open alert. Returns 409 if it is already acknowledged or resolved."""
        alert = self.get_object()
        text = _validated(serializers.TextSerializer, request)["text"]
        if not services.acknowledge([alert], actor=None, text=text).changed:
            raise Conflict("The alert is already acknowledged, or resolved.")
        return self._reply(alert)

    @extend_schema(request=serializers.TextSerializer, responses=serializers.AlertDetailSerializer)
    @action(detail=True, methods=["post"])
    def unacknowledge(self, request: Request, pk: str | None = None) -> Response:
        """Withdraw the acknowledgement of an alert. Returns 409 if it is not acknowledged or is resolved."""
        alert = self.get_object()
        text = _validated(serializers.TextSerializer, request)["text"]
        if not services.unacknowledge([alert], actor=None, text=text).changed:
            raise Conflict("The alert is not acknowledged, or resolved.")
        return self._reply(alert)

    @extend_schema(
        request=serializers.AssignSerializer, responses=serializers.AlertDetailSerializer
    )
    @action(detail=True, methods=["post"])
    def assign(self, request: Request, pk: str | None = None) -> Response:
        """Assign an open alert to a user, or unassign it. Returns 409 if nothing would change."""
        alert = self.get_object()
        data = _validated(serializers.AssignSerializer, request)
        user = None
        if data["user"] is not None:
            user = User.objects.filter(username=data["user"], is_active=True).first()
            if user is None:
                raise ValidationError({"user": ["There is no active user with that name."]})
        if not services.assign([alert], to=user, actor=None, text=data["text"]).changed:
            raise Conflict("The alert already has that assignee, or is resolved.")
        return self._reply(alert)

    @extend_schema(
        request=serializers.CommentSerializer, responses={201: serializers.AlertDetailSerializer}
    )
    @action(detail=True, methods=["post"])
    def comment(self, request: Request, pk: str | None = None) -> Response:
        """Add a comment to an alert."""
        alert = self.get_object()
        services.comment(
            [alert], text=_validated(serializers.CommentSerializer, request)["text"], actor=None
        )
        reply = self._reply(alert)
        reply.status_code = status.HTTP_201_CREATED
        return reply

    @extend_schema(
        request=serializers.SilenceAlertSerializer, responses={201: serializers.SilenceSerializer}
    )
    @action(detail=True, methods=["post"])
    def silence(self, request: Request, pk: str | None = None) -> Response:
        """Silence an alert. Creates the silence in the Alertmanager that reported the alert."""
        alert = self.get_object()
        data = _validated(serializers.SilenceAlertSerializer, request)
        try:
            made = services.silence(
                alert,
                duration=timedelta(seconds=data["duration_seconds"]),
                comment=data["comment"],
                matchers=services.parse_matchers(data["matchers"])
                if data.get("matchers")
                else None,
                actor=None,
            )
        except UpstreamError as error:
            raise _not_made(error) from error
        return Response(_silence(made), status=status.HTTP_201_CREATED)


class SilenceViewSet(mixins.RetrieveModelMixin, PortalViewSet):
    """Silences in the connected Alertmanagers, newest first."""

    queryset = Silence.objects.select_related("upstream")
    serializer_class = serializers.SilenceSerializer
    filterset_class = SilenceFilter
    ordering = ("-id",)
    write_scope = "alerts:write"

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "now": timezone.now()}

    @extend_schema(
        request=serializers.CreateSilenceSerializer, responses={201: serializers.SilenceSerializer}
    )
    def create(self, request: Request) -> Response:
        """Create a silence in an Alertmanager."""
        data = _validated(serializers.CreateSilenceSerializer, request)
        upstream, matchers = _alertmanager(data)
        try:
            made = silences.create(
                upstream, matchers=matchers, starts_at=data["starts_at"], ends_at=data["ends_at"],
                comment=data["comment"], actor=None,
            )  # fmt: skip
        except UpstreamError as error:
            raise _not_made(error) from error
        return Response(_silence(made), status=status.HTTP_201_CREATED)

    @extend_schema(
        request=serializers.ChangeSilenceSerializer, responses=serializers.SilenceSerializer
    )
    def update(self, request: Request, pk: str | None = None) -> Response:
        """Update the matchers, end and comment of a silence.

        If the matchers change, Alertmanager expires the silence and creates one with a new id.
        Returns 409 if the silence has expired.
        """
        silence = self.get_object()
        data = _validated(serializers.ChangeSilenceSerializer, request)
        if silence.state(at=timezone.now()) == "expired":
            raise Conflict("The silence has ended; create another one.")
        try:
            made = silences.create(
                silence.upstream, matchers=services.parse_matchers(data["matchers"]), ends_at=data["ends_at"],
                comment=data["comment"], actor=None, replaces=silence,
            )  # fmt: skip
        except UpstreamError as error:
            raise _not_made(error) from error
        return Response(_silence(made))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str | None = None) -> Response:
        """Expire a silence now. Like `expire/` without a comment; the silence remains in the history."""
        self._end(self.get_object(), reason="")
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        request=serializers.PreviewSilenceSerializer, responses=serializers.PreviewSerializer
    )
    @action(detail=False, methods=["post"], pagination_class=None, filterset_class=None)
    def preview(self, request: Request) -> Response:
        """Preview which open alerts a silence would match. Returns the total and the first 100 alerts."""
        upstream, matchers = _alertmanager(
            _validated(serializers.PreviewSilenceSerializer, request)
        )
        count, hit = silences.preview(upstream, matchers, most=PREVIEW_SIZE)
        shown = serializers.AlertSerializer(hit, many=True).data
        return Response({"count": count, "alerts": shown})

    @extend_schema(request=serializers.TextSerializer, responses=serializers.SilenceSerializer)
    @action(detail=True, methods=["post"])
    def expire(self, request: Request, pk: str | None = None) -> Response:
        """Expire a silence now. Returns 409 if it has already expired."""
        silence = self.get_object()
        self._end(silence, reason=_validated(serializers.TextSerializer, request)["text"])
        return Response(_silence(self.get_object()))

    @staticmethod
    def _end(silence: Silence, *, reason: str) -> None:
        try:
            ended = silences.expire(silence, actor=None, reason=reason)
        except UpstreamError as error:
            raise _not_made(error) from error
        if not ended:
            raise Conflict("The silence has already ended.")


def _validated(kind: Any, request: Request) -> dict[str, Any]:
    serializer = kind(data=request.data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _alertmanager(data: dict[str, Any]) -> tuple[Upstream, list[Matcher]]:
    held = (Upstream.Kind.ALERTMANAGER, Upstream.Kind.PORTAL)
    found = Upstream.objects.filter(kind__in=held, name=data["upstream"]).first()
    if found is None:
        raise ValidationError({"upstream": ["There is no Alertmanager with that name."]})
    return found, services.parse_matchers(data["matchers"])


def _not_made(error: UpstreamError) -> APIException:
    """Tell what Alertmanager finds wrong with a silence from what it cannot do."""
    if error.status == status.HTTP_400_BAD_REQUEST:
        return ValidationError({"matchers": [str(error)]})
    return UpstreamFailed(str(error))


def _silence(silence: Silence) -> Any:
    return serializers.SilenceSerializer(silence, context={"now": timezone.now()}).data


class AnyParser(BaseParser):
    """Leaves the body alone: the view reads it within its own bound."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return {}


class AlertmanagerHookView(APIView):
    """Receives the webhook of Alertmanager. The delivery is stored and processed by a task."""

    write_scope = "alerts:write"
    read_scope = "alerts:write"
    parser_classes = [AnyParser]
    throttle_rule = "6000/minute"

    @extend_schema(
        request={"application/json": {"type": "object"}},
        responses={
            202: serializers.HookAcceptedSerializer,
            400: OpenApiResponse(
                description="The body is not an Alertmanager webhook (version 4)."
            ),
        },
    )
    def post(self, request: Request, upstream: str) -> Response:
        """Deliver an Alertmanager webhook (version 4). Deliveries are processed asynchronously and are idempotent."""
        found = get_object_or_404(Upstream, name=upstream, kind=Upstream.Kind.ALERTMANAGER)
        try:
            delivery, count = hooks.receive(found, read_body(request._request))
        except PayloadError as error:
            raise ParseError(str(error)) from error
        if delivery is not None:
            hooks.start_processing(process_deliveries)
        return Response(
            {"accepted": count, "duplicate": delivery is None}, status=status.HTTP_202_ACCEPTED
        )


ROUTES = [("alerts", AlertViewSet, "alert"), ("silences", SilenceViewSet, "silence")]
