"""`timeline/` and `services/{slug}/timeline/`: everything that happened, newest first."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from audit import services as audit
from audit.services import Target
from audit.viewsets import CSV_PARAMETER
from portal.core import csv
from portal.core.models import Service
from portal.core.timeline import Cursor, Slice
from portal.timeline import KINDS, Stream, every, page
from security.permissions import ScopedPermission

FIELDS = ("at", "kind", "title", "detail", "tone", "service", "actor", "url", "action")


class EventSerializer(serializers.Serializer[Any]):
    """One event of the timeline."""

    stream = serializers.CharField(
        help_text="Where the event is from; `stream` and `id` identify it."
    )
    id = serializers.IntegerField(help_text="Id within the stream.")
    at = serializers.DateTimeField()
    title = serializers.CharField()
    detail = serializers.CharField()
    tone = serializers.ChoiceField(choices=("good", "warn", "bad", "plain"))
    service = serializers.CharField(help_text="Slug of the service; empty if there is none.")
    actor = serializers.CharField(help_text="User or token that caused the event; may be empty.")
    url = serializers.CharField(help_text="URL of the object in the admin.")
    action = serializers.CharField(
        help_text="Name of the action in the audit trail; empty for other kinds."
    )


class TimelineSerializer(serializers.Serializer[Any]):
    """A page of the timeline, newest event first."""

    next = serializers.URLField(
        allow_null=True, help_text="URL of the page with older events; null on the last page."
    )
    hidden = serializers.ListField(
        child=serializers.ChoiceField(choices=list(KINDS)),
        help_text="Kinds omitted because the token or account lacks the permission.",
    )
    results = EventSerializer(many=True)


class AskedSerializer(serializers.Serializer[Any]):
    service = serializers.CharField(
        required=False, max_length=100, help_text="Slug of the service."
    )
    kind = serializers.CharField(
        required=False,
        help_text=f"One or more of {', '.join(KINDS)}; separated by commas. Default: all.",
    )
    since = serializers.DateTimeField(
        required=False, help_text="Events at or after this time (RFC 3339)."
    )
    until = serializers.DateTimeField(
        required=False, help_text="Events at or before this time (RFC 3339)."
    )
    cursor = serializers.CharField(
        required=False, max_length=200, help_text="Pagination cursor, as contained in `next`."
    )
    page_size = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=500,
        default=50,
        help_text="Number of events per page.",
    )

    def validate_kind(self, written: str) -> list[str]:
        kinds = [kind.strip() for kind in written.split(",") if kind.strip()]
        for kind in kinds:
            if kind not in KINDS:
                known = ", ".join(KINDS)
                raise serializers.ValidationError(
                    f"{kind[:40]!r} is not a kind. Available kinds: {known}."
                )
        return kinds

    def validate_cursor(self, written: str) -> Cursor:
        try:
            return Cursor.read(written)
        except ValueError as error:
            raise serializers.ValidationError(f"{error} Start again without it.") from error


class TimelineView(APIView):
    """Get the timeline. Alerts, silences, status changes, deploys, errors, flags and audit entries, newest first."""

    read_scope = "read"

    @extend_schema(parameters=[AskedSerializer, CSV_PARAMETER], responses=TimelineSerializer)
    def get(self, request: Request, slug: str | None = None) -> HttpResponseBase:
        asked = AskedSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        facts = asked.validated_data
        name = slug or facts.get("service")
        service = get_object_or_404(Service, slug=name) if name else None
        wanted = Slice(
            limit=facts["page_size"],
            before=facts.get("cursor"),
            since=facts.get("since"),
            until=facts.get("until"),
            service=service,
        )
        if request.query_params.get("format") == "csv":
            return self._csv(request, wanted, facts.get("kind", []))
        found = page(wanted, kinds=facts.get("kind", []), allowed=_allowed(request))
        url = request.build_absolute_uri()
        after = replace_query_param(url, "cursor", found.next.written()) if found.next else None
        body = {"next": after, "hidden": found.hidden, "results": found.events}
        return Response(TimelineSerializer(body).data)

    @staticmethod
    def _csv(request: Request, wanted: Slice, kinds: list[str]) -> HttpResponseBase:
        filters = {k: v for k, v in request.query_params.items() if k not in ("format", "cursor")}
        slug = audit.service_of(wanted.service)
        audit.record(
            "data.exported",
            target=Target("api.timeline"),
            data={"filters": filters, "format": "csv", **audit.service_data(slug)},
        )
        whole = Slice(500, None, wanted.since, wanted.until, wanted.service)
        events = every(whole, kinds=kinds, allowed=_allowed(request))
        rows = (
            (_stamp(e.at), e.stream, e.title, e.detail, e.tone, e.service, e.actor, e.url, e.action)
            for e in events
        )
        return csv.response("timeline", FIELDS, rows)


def _stamp(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _allowed(request: Request) -> Callable[[Stream], bool]:
    """A person sees what the admin shows them; a token sees what its scopes say."""

    def allowed(stream: Stream) -> bool:
        is_asked = stream.asks_owner or not request.auth
        may_see = not is_asked or request.user.has_perm(stream.permission)
        return may_see and ScopedPermission.allows(request, stream.scope)

    return allowed


SLUG = OpenApiParameter(
    "slug", OpenApiTypes.STR, OpenApiParameter.PATH, description="Slug of the service."
)


class ServiceTimelineView(TimelineView):
    """Get the timeline of a service."""

    @extend_schema(
        operation_id="services_timeline",
        parameters=[SLUG, AskedSerializer, CSV_PARAMETER],
        responses=TimelineSerializer,
    )
    def get(self, request: Request, slug: str | None = None) -> HttpResponseBase:
        return super().get(request, slug)
