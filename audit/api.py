"""`audit/entries/`: the audit trail, filtered, also as CSV; and ingest of entries of other applications."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from uuid6 import uuid7

from audit import ingest, read_timeout
from audit.filters import TrailFilter
from audit.ingest_serializers import (
    MAX_ENTRIES,
    IngestReportSerializer,
    NewEntrySerializer,
)
from audit.models import AuditEntry
from audit.viewsets import PortalViewSet
from portal.core import sanitize
from portal.core.api_help import described
from portal.core.problems import LenientJSONParser


class TooWide(APIException):
    """The filter reads more than a list may."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "too_wide"


class AuditEntrySerializer(serializers.ModelSerializer[AuditEntry]):
    """One entry of the audit trail."""

    class Meta:
        model = AuditEntry
        fields = (
            "id", "uid", "occurred_at", "recorded_at", "schema_version", "kind", "category", "type", "action", "code",
            "outcome", "reason", "severity", "actor_type", "actor_id", "actor_name", "actor_roles", "impersonator_id",
            "impersonator_name", "auth_method", "auth_factors", "session_fp", "token_fp", "source_ip", "source_port",
            "source_ip_chain", "geo_country", "asn", "user_agent", "http_method", "url_path", "http_status",
            "request_id", "client_request_id", "trace_id", "target_type", "target_id", "target_name", "targets",
            "changes", "data", "writer_id", "writer_seq",
        )  # fmt: skip
        read_only_fields = fields
        extra_kwargs = described(
            uid="UUIDv7 of the entry, identical in the file, the database and every export.",
            occurred_at="Time of the action, by the clock of the reporting system.",
            recorded_at="Time of recording, by the clock of the database.",
            schema_version="Version of the format of the entry.",
            kind="`event.kind` of the Elastic Common Schema (ECS).",
            category="`event.category` of ECS.",
            type="`event.type` of ECS.",
            action="Name of the action as `object.verb_past`, for example `alert.acknowledged`.",
            code="Stable code of the action; it never changes.",
            reason="Reason given for the action, or why it failed.",
            actor_type="`user`, `token`, `service`, `system` or `anonymous`.",
            actor_roles="Groups or roles of the actor at that time.",
            impersonator_id="Id of the account that acted as the actor; empty without impersonation.",
            impersonator_name="Name of the account that acted as the actor.",
            auth_method="How the actor was authenticated.",
            auth_factors="Authentication factors that were used.",
            session_fp="Fingerprint of the session.",
            token_fp="Fingerprint of the API token.",  # noqa: S106 - no password
            source_ip_chain="The `X-Forwarded-For` chain of the request.",
            geo_country="Country of `source_ip`, ISO 3166-1 alpha-2.",
            asn="Autonomous system number of `source_ip`.",
            request_id="Id the portal gave the request.",
            client_request_id="Id that the client sent in `X-Request-ID`.",
            trace_id="W3C trace id, 32 hexadecimal digits.",
            targets="Further objects of a bulk action.",
            changes="Changed fields as `{field: [old, new]}`; secrets are redacted.",
            data="Details that depend on `action`.",
            writer_id="The process that wrote the entry.",
            writer_seq="Sequence number per writer; a gap means a lost or rolled-back write.",
        )


ENTRY_OR_ENTRIES = PolymorphicProxySerializer(
    component_name="EntryOrEntries",
    serializers=[NewEntrySerializer, NewEntrySerializer(many=True)],
    resource_type_field_name=None,
    many=False,
)


@extend_schema_view(list=extend_schema(filters=True))
class AuditEntryViewSet(mixins.RetrieveModelMixin, PortalViewSet):
    """The audit trail, newest first. Reading requires the scope `audit:read`, writing `audit:write`."""

    queryset = AuditEntry.objects.all()
    serializer_class = AuditEntrySerializer
    filterset_class = TrailFilter
    parser_classes = (LenientJSONParser,)
    read_scope = "audit:read"
    write_scope = "audit:write"
    ordering = ("-recorded_at",)
    ordering_fields = ("recorded_at", "id")

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        """List audit entries, newest first. Returns 422 if the filter matches too much data for a list."""
        if request.query_params.get("format") == "csv":
            return super().list(request, *args, **kwargs)
        try:
            with read_timeout.limited():
                return super().list(request, *args, **kwargs)
        except read_timeout.ReadTimeoutError as error:
            raise TooWide(str(error)) from error

    @extend_schema(
        request=ENTRY_OR_ENTRIES,
        responses={
            200: IngestReportSerializer,
            201: IngestReportSerializer,
            207: IngestReportSerializer,
        },
    )
    def create(self, request: Request) -> Response:
        """Write audit entries. The body is one entry or an array of up to 1,000.

        Entries with a known `uid` are skipped.
        Returns 201 if entries were created, 200 if all were duplicates, and 207 if items of an array were
        refused. Valid items are written all the same; `results` has the status of each.
        """
        given: Any = request.data
        items = given if isinstance(given, list) else [given]
        if len(items) > MAX_ENTRIES:
            raise ValidationError(
                {"non_field_errors": [f"Send at most {MAX_ENTRIES} entries per request."]}
            )
        results = _ingested(items)
        if not isinstance(given, list) and "errors" in results[0]:
            raise ValidationError(results[0]["errors"])
        counts = {name: sum(r["status"] == name for r in results) for name in STATUS_WORDS}
        code = 207 if counts["refused"] else 201 if counts["created"] else 200
        return Response({**counts, "results": results}, status=code)


STATUS_WORDS = ("created", "duplicate", "refused")


def _ingested(items: list[Any]) -> list[dict[str, Any]]:
    """Validate each item, write the valid ones, and return the result of each."""
    results: list[dict[str, Any]] = []
    valid: list[dict[str, Any]] = []
    checker = (
        NewEntrySerializer()
    )  # shared: building its fields for each item took half of the time
    for index, item in enumerate(items):
        try:
            facts = {"uid": uuid7(), **checker.run_validation(item)}
        except ValidationError as error:
            # A message may quote what was sent, which may not be representable in JSON.
            wrong = sanitize.json(serializers.as_serializer_error(error), limit=300)
            errors = {name: _sentences(said) for name, said in wrong.items()}
            refused = {"index": index, "uid": _uid_of(item), "status": "refused"}
            results.append({**refused, "errors": errors})
        else:
            valid.append(facts)
            results.append({"index": index, "uid": str(facts["uid"]), "status": "created"})
    written = iter(ingest.write(valid, by=ingest.sender(), at=timezone.now()))
    for result in results:
        if result["status"] == "created" and not next(written):
            result["status"] = "duplicate"
    return results


def _sentences(said: Any) -> list[str]:
    """Return the error messages of a field; those of list items are prefixed with their index."""
    if isinstance(said, dict):
        return [f"{key}: {one}" for key, inner in said.items() for one in _sentences(inner)]
    return [str(one) for one in said] if isinstance(said, list) else [str(said)]


def _uid_of(item: Any) -> str | None:
    """Return the uid of a refused item, None when it is not ASCII text."""
    uid = item.get("uid") if isinstance(item, dict) else None
    return uid[:36] if isinstance(uid, str) and uid.isascii() else None


ROUTES = [("audit/entries", AuditEntryViewSet, "audit-entry")]
