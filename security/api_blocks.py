"""`blocks/` and `blocks/fail2ban/`: thin views over the services."""

from datetime import datetime, timedelta
from typing import Any

import django_filters as filters
from django.db.models import F, Q
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from audit.viewsets import PortalViewSet
from portal.core.api_help import described
from portal.core.problems import Conflict
from security import blocks, subjects
from security.api import STEP_UP
from security.models import ApiToken, Block, BlockOrigin, Scope, SubjectKind
from security.models.blocks import BlockQuerySet
from security.stepup import is_recent

STATES = [(word, word) for word in ("active", "lifted", "expired")]
LONGEST_SECONDS = 366 * 24 * 3600


class BlockSerializer(serializers.ModelSerializer[Block]):
    state = serializers.SerializerMethodField()

    class Meta:
        model = Block
        fields = ("id", "kind", "value", "name", "reason", "origin", "state", "created_at", "created_by", "expires_at",
                  "ended_at", "ended_by", "end_reason", "flag")  # fmt: skip
        read_only_fields = fields
        extra_kwargs = described(
            value="IP address, network in CIDR notation, or id of the account or token.",
            name="Name of the account or token.",
            created_by="User, token or rule that created the block.",
            expires_at="When the block ends by itself.",
            ended_at="When the block ended; null if it has not been ended.",
            ended_by="Who lifted the block.",
            end_reason="Why the block was lifted.",
            flag="Id of the flag that caused the block.",
        )

    @extend_schema_field(serializers.ChoiceField(choices=STATES))
    def get_state(self, block: Block) -> str:
        return block.state(at=timezone.now())


class TermSerializer(serializers.Serializer[Any]):
    """Duration and reason of a block. Send either `duration_seconds` or `expires_at`."""

    duration_seconds = serializers.IntegerField(
        min_value=60,
        max_value=LONGEST_SECONDS,
        required=False,
        help_text="Duration of the block in seconds, starting now.",
    )
    expires_at = serializers.DateTimeField(required=False, help_text="End of the block.")
    reason = serializers.CharField(max_length=500)
    confirm = serializers.BooleanField(
        default=False,
        help_text="Create the block even if it affects your own address, account or token.",
    )

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if ("expires_at" in given) == ("duration_seconds" in given):
            raise ValidationError({"duration_seconds": ["Give either this or `expires_at`."]})
        return given

    @staticmethod
    def end_of(given: dict[str, Any]) -> datetime:
        end = given.get("expires_at") or timezone.now() + timedelta(
            seconds=given["duration_seconds"]
        )
        assert isinstance(end, datetime)
        return end


class NewBlockSerializer(TermSerializer):
    kind = serializers.ChoiceField(choices=SubjectKind.choices)
    value = serializers.CharField(
        max_length=200,
        help_text="IP address, network in CIDR notation, user name, or id of a token.",
    )


class LiftSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(
        max_length=500, default="", allow_blank=True, help_text="Why the block is lifted."
    )


class BlockFilter(filters.FilterSet):
    kind = filters.ChoiceFilter(choices=SubjectKind.choices)
    value = filters.CharFilter(help_text="Exact address or network, or id of an account or token.")
    origin = filters.ChoiceFilter(choices=BlockOrigin.choices)
    state = filters.ChoiceFilter(choices=STATES, method="in_state")

    class Meta:
        model = Block
        fields: tuple[str, ...] = ()

    def in_state(self, queryset: BlockQuerySet, _name: str, value: str) -> BlockQuerySet:
        now = timezone.now()
        return of_state(queryset, value, at=now)


def of_state(queryset: BlockQuerySet, state: str, *, at: datetime) -> BlockQuerySet:
    """Return the blocks that `Block.state` calls so."""
    if state == "active":
        return queryset.active(at=at)
    if state == "lifted":
        return queryset.filter(ended_at__lt=F("expires_at"))
    to_the_end = Q(ended_at__isnull=True) | Q(ended_at__gte=F("expires_at"))
    return queryset.filter(to_the_end, expires_at__lte=at)


def require_fresh(request: Request) -> None:
    """Refuse a session without a code of the last ten minutes; a token needs its scope only."""
    if not isinstance(request.auth, ApiToken) and not is_recent(request._request):
        raise PermissionDenied(STEP_UP)


class PlainTextRenderer(BaseRenderer):
    """Lets a client ask for text; errors are still JSON."""

    media_type = "text/plain"
    format = "txt"

    def render(self, data: Any, *_args: Any, **_kwargs: Any) -> bytes:
        return str(data).encode()


@extend_schema_view(list=extend_schema(filters=True))
class BlockViewSet(mixins.RetrieveModelMixin, PortalViewSet):
    """Blocks of addresses, networks, accounts and tokens, newest first."""

    queryset = Block.objects.all()
    serializer_class = BlockSerializer
    filterset_class = BlockFilter
    read_permission = "security.view_block"
    write_scope = Scope.SECURITY_WRITE
    person_permissions = {
        "create": "security.add_block", "update": "security.add_block",
        "destroy": "security.change_block", "lift": "security.change_block",
    }  # fmt: skip
    lookup_value_regex = r"\d{1,18}"
    ordering = ("-id",)

    @extend_schema(request=NewBlockSerializer, responses={201: BlockSerializer})
    def create(self, request: Request) -> Response:
        """Block a subject, or change the end and reason of its active block.

        Returns 409 if the block would affect yourself and `confirm` is not true.
        """
        require_fresh(request)
        given = NewBlockSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        subject = subjects.parse(given.validated_data["kind"], given.validated_data["value"])
        made = self._make(subject, given.validated_data, BlockOrigin.HAND)
        return Response(BlockSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=TermSerializer, responses=BlockSerializer)
    def update(self, request: Request, pk: str | None = None) -> Response:
        """Change the end and reason of an active block. Returns 409 if the block has ended."""
        require_fresh(request)
        block = self.get_object()
        given = TermSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        if block.state(at=timezone.now()) != "active":
            raise Conflict("The block has ended; create another one.")
        subject = subjects.Subject(block.kind, block.value, block.name)
        return Response(
            BlockSerializer(self._make(subject, given.validated_data, block.origin)).data
        )

    @staticmethod
    def _make(subject: subjects.Subject, given: dict[str, Any], origin: str) -> Block:
        try:
            return blocks.create(
                subject, expires_at=TermSerializer.end_of(given), reason=given["reason"], actor=None, origin=origin,
                confirmed=given["confirm"],
            )  # fmt: skip
        except blocks.SelfBlockError as error:
            raise Conflict(f"{error} Send `confirm` true.") from error

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str | None = None) -> Response:
        """Lift a block now. The block remains in the list; returns 409 if it has ended."""
        self._lift(request, "")
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=LiftSerializer, responses=BlockSerializer)
    @action(detail=True, methods=["post"])
    def lift(self, request: Request, pk: str | None = None) -> Response:
        """Lift a block now, with a reason. Returns 409 if the block has ended."""
        given = LiftSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        self._lift(request, given.validated_data["reason"])
        return Response(BlockSerializer(self.get_object()).data)

    def _lift(self, request: Request, reason: str) -> None:
        require_fresh(request)
        if not blocks.lift(self.get_object(), actor=None, reason=reason):
            raise Conflict("The block has already ended.")

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR}, filters=False)
    @action(
        detail=False, pagination_class=None, filterset_class=None, renderer_classes=[JSONRenderer, PlainTextRenderer]
    )  # fmt: skip
    def fail2ban(self, request: Request) -> HttpResponse:
        """List blocked addresses and networks as plain text, one per line."""
        network = [SubjectKind.ADDRESS, SubjectKind.NETWORK]
        rows = Block.objects.active(at=timezone.now()).filter(kind__in=network)
        values = sorted(set(rows.values_list("value", flat=True)))
        return HttpResponse(
            "".join(f"{value}\n" for value in values), content_type="text/plain; charset=utf-8"
        )


ROUTES = [("blocks", BlockViewSet, "block")]
