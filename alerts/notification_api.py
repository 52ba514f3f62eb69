"""`channels/`, `routes/` and `notifications/`: thin views over the services."""

from typing import Any

import django_filters as filters
from django.core.exceptions import ValidationError as ModelValidationError
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from alerts import channels
from alerts.explain import as_json, explain
from alerts.models import Alert
from alerts.notification_models import REASONS, Channel, Kind, Notification, Outcome, Route
from alerts.notification_serializers import (
    ChannelSerializer,
    ExplanationSerializer,
    NotificationSerializer,
    RouteSerializer,
)
from audit.viewsets import PortalModelViewSet, PortalViewSet, locked
from portal.core.problems import Conflict


class ChannelFilter(filters.FilterSet):
    class Meta:
        model = Channel
        fields = ("name", "service", "enabled", "managed")


@extend_schema_view(list=extend_schema(filters=True))
class ChannelViewSet(PortalModelViewSet):
    """Notification channels. The URL of a channel is write-only."""

    queryset = Channel.objects.order_by("id")
    serializer_class = ChannelSerializer
    filterset_class = ChannelFilter
    ordering = ("id",)
    ordering_fields = ("id", "name")
    write_scope = "monitoring:write"

    def perform_create(self, serializer: Any) -> None:
        self._save(serializer, Channel())

    def perform_update(self, serializer: Any) -> None:
        with locked(serializer.instance):
            self._save(serializer, serializer.instance)

    @staticmethod
    def _save(serializer: Any, channel: Channel) -> None:
        facts = dict(serializer.validated_data)
        url = facts.pop("url", "")
        for name, value in facts.items():
            setattr(channel, name, value)
        serializer.instance = channels.save(channel, url=url, actor=None)

    def perform_destroy(self, instance: Channel) -> None:
        try:
            channels.delete(instance, actor=None)
        except ModelValidationError as error:
            raise Conflict(" ".join(error.messages)) from error

    @extend_schema(request=None, responses=NotificationSerializer)
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str | None = None) -> Response:
        """Send a test message through a channel. `outcome` and `answer` have the result."""
        row = channels.test(self.get_object(), actor=None)
        return Response(NotificationSerializer(row).data)


class RouteFilter(filters.FilterSet):
    channel = filters.CharFilter(field_name="channels__name", help_text="Name of the channel.")

    class Meta:
        model = Route
        fields = ("name", "enabled", "managed")


@extend_schema_view(list=extend_schema(filters=True))
class RouteViewSet(PortalModelViewSet):
    """Routes decide which alerts are sent to which channels. They are evaluated in order of `position`."""

    queryset = Route.objects.prefetch_related("channels").order_by("id")
    serializer_class = RouteSerializer
    filterset_class = RouteFilter
    ordering = ("id",)
    ordering_fields = ("id", "name")
    write_scope = "monitoring:write"

    def perform_destroy(self, instance: Route) -> None:
        if instance.managed:
            raise Conflict("This route is set by NOTIFY_URLS. Disable it, or remove the variable.")
        instance.delete()


class NotificationFilter(filters.FilterSet):
    channel = filters.CharFilter(field_name="channel__name", help_text="Name of the channel.")
    outcome = filters.ChoiceFilter(choices=Outcome.choices)
    reason = filters.ChoiceFilter(choices=REASONS)
    kind = filters.ChoiceFilter(choices=Kind.choices)
    alert = filters.NumberFilter(method="about", max_value=2**63 - 1, help_text="Id of the alert.")
    digest = filters.NumberFilter(
        field_name="digest_id",
        max_value=2**63 - 1,
        help_text="Id of a digest; returns the messages it summarises.",
    )
    since = filters.IsoDateTimeFilter(
        field_name="created_at",
        lookup_expr="gte",
        help_text="Created at or after this time (RFC 3339).",
    )
    until = filters.IsoDateTimeFilter(
        field_name="created_at", lookup_expr="lt", help_text="Created before this time (RFC 3339)."
    )

    class Meta:
        model = Notification
        fields: tuple[str, ...] = ()

    def about(self, queryset: Any, _name: str, value: Any) -> Any:
        return queryset.about(int(value))


@extend_schema_view(list=extend_schema(filters=True))
class NotificationViewSet(mixins.RetrieveModelMixin, PortalViewSet):
    """The delivery log, newest first. Includes messages that were withheld, with the reason."""

    queryset = Notification.objects.select_related("route")
    serializer_class = NotificationSerializer
    filterset_class = NotificationFilter
    ordering = ("-id",)
    write_scope = "monitoring:write"

    @extend_schema(request=None, responses=NotificationSerializer)
    @action(detail=True, methods=["post"], url_path="send-again")
    def send_again(self, request: Request, pk: str | None = None) -> Response:
        """Send a failed notification again. Returns 409 if it has not failed or its channel is unavailable."""
        row = self.get_object()
        if not channels.send_again([row], actor=None):
            raise Conflict("The message has not failed, or its channel is deleted or disabled.")
        return Response(self.get_serializer(self.get_queryset().get(pk=row.pk)).data)


class ExplainMixin:
    """`alerts/{id}/explain/`."""

    @extend_schema(responses=ExplanationSerializer)
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def explain(self: Any, request: Request, pk: str | None = None) -> Response:
        """Explain the notifications of an alert.

        Returns which routes match, what was sent or withheld and why, and when the next message is due.
        """
        alert: Alert = self.get_object()
        found = explain(alert, at=timezone.now())
        body = {**as_json(found), "notifications": found.deliveries}
        return Response(ExplanationSerializer(body).data)


ROUTES = [
    ("channels", ChannelViewSet, "channel"),
    ("routes", RouteViewSet, "route"),
    ("notifications", NotificationViewSet, "notification"),
]
