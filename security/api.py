"""The API of tokens: list, create (only this response contains the secret), revoke."""

from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from audit import services as audit
from audit.services import Target
from audit.viewsets import CsvListMixin
from portal.core.api_help import described
from portal.core.models import Service
from security import tokens
from security.models import ApiToken, Scope
from security.permissions import ScopedPermission
from security.scopes import grantable_scopes
from security.stepup import is_recent

STEP_UP = (
    "This needs a fresh code from your second factor. Open /admin/step-up/ in this"
    " browser, enter a code, and repeat the request within ten minutes."
)


class ApiTokenSerializer(serializers.ModelSerializer[ApiToken]):
    user = serializers.CharField(
        source="user.username", read_only=True, help_text="User name of the owner."
    )
    service: Any = serializers.SlugRelatedField(
        slug_field="slug", read_only=True, allow_null=True,
        help_text="Slug of the service whose application uses the token.",
    )  # fmt: skip

    class Meta:
        model = ApiToken
        fields = (
            "id",
            "name",
            "user",
            "service",
            "hint",
            "scopes",
            "allowed_networks",
            "created_at",
            "expires_at",
            "revoked_at",
            "last_used_at",
            "last_used_ip",
            "made_with",
        )
        read_only_fields = fields
        extra_kwargs = described(
            hint="First characters of the token, to recognise it.",
            allowed_networks="Networks in CIDR notation that may use the token; empty: any address.",
            expires_at="When the token expires; null: never.",
            revoked_at="When the token was revoked; null while it is valid.",
            made_with="Id of the token it was created with.",
        )


def _check_networks(written: list[str]) -> None:
    tokens.parse_networks(written)


class NewTokenSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=Scope.choices), min_length=1, max_length=20
    )
    allowed_networks = serializers.ListField(
        child=serializers.CharField(max_length=50),
        required=False,
        max_length=50,
        validators=[_check_networks],
        help_text="Networks in CIDR notation that may use it. Default: those of the calling token, else any address.",
    )
    expires_at = serializers.DateTimeField(
        required=False,
        allow_null=True,
        validators=[tokens.check_expiry],
        help_text="When the token expires. Default: never, or with the calling token.",
    )
    service = serializers.SlugRelatedField(
        slug_field="slug", queryset=Service.objects.all(), required=False, allow_null=True,
        help_text="Slug of the service whose application uses the token. Default: that of the calling token.",
    )  # fmt: skip


class WithMadeSerializer(serializers.Serializer[Any]):
    made = serializers.BooleanField(
        default=False,
        help_text="Also revoke all tokens created with this token, directly or indirectly.",
    )


class MintedTokenSerializer(ApiTokenSerializer):
    token = serializers.CharField(
        read_only=True, help_text="The secret token. Store it: it is not shown again."
    )

    class Meta(ApiTokenSerializer.Meta):
        fields: Any = (*ApiTokenSerializer.Meta.fields, "token")
        read_only_fields: Any = fields


@extend_schema_view(
    list=extend_schema(summary="List API tokens"),
    retrieve=extend_schema(summary="Get an API token"),
    destroy=extend_schema(
        summary="Revoke an API token",
        parameters=[WithMadeSerializer],
        responses={204: None},
    ),
)
class ApiTokenViewSet(
    CsvListMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, GenericViewSet[ApiToken]
):  # fmt: skip
    """API tokens. A token belongs to the account that creates it and cannot have scopes that its creator lacks.

    Superusers see all tokens, others their own. Only the response to the creation contains the secret, and
    revoked tokens remain in the list.
    """

    queryset = ApiToken.objects.select_related("user", "service")
    serializer_class = ApiTokenSerializer
    permission_classes = (ScopedPermission,)
    read_scope = Scope.SECURITY_WRITE
    write_scope = Scope.SECURITY_WRITE
    person_permissions = {
        "list": "security.view_apitoken", "retrieve": "security.view_apitoken",
        "create": "security.add_apitoken", "destroy": "security.change_apitoken",
    }  # fmt: skip
    lookup_value_regex = r"\d{1,18}"
    ordering = ("-created_at",)
    ordering_fields = ("created_at",)

    def get_queryset(self) -> QuerySet[ApiToken]:
        found = super().get_queryset()
        user: Any = self.request.user
        token = self.request.auth
        sees_all = token.allows(Scope.ADMIN) if isinstance(token, ApiToken) else user.is_superuser
        return found if sees_all else found.filter(user_id=user.pk)

    @extend_schema(
        summary="Create an API token",
        request=NewTokenSerializer,
        responses={201: MintedTokenSerializer},
    )
    def create(self, request: Request) -> Response:
        caller = self._fresh_caller(request)
        given = NewTokenSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        facts = given.validated_data
        self._refuse_more_than_held(request, caller, facts["scopes"])
        token, written = tokens.create(
            user=self._owner(request),
            name=facts["name"],
            scopes=facts["scopes"],
            expires_at=tokens.within_parent(caller, facts.get("expires_at")),
            networks=tokens.check_networks_within(caller, facts.get("allowed_networks", [])),
            service=facts.get("service", caller.service if caller else None),
            made_with=caller,
        )
        body = ApiTokenSerializer(token).data | {"token": written}
        return Response(body, status=status.HTTP_201_CREATED)

    @staticmethod
    def _refuse_more_than_held(
        request: Request, caller: ApiToken | None, scopes: list[str]
    ) -> None:
        lacking = sorted(set(scopes) - set(grantable_scopes(request.user, caller)))
        if not lacking:
            return
        sentence = f"You lack {', '.join(lacking)} yourself, so you cannot give it to a token."
        audit.record(
            "permission.denied", target=Target("api", "POST", request.path), outcome="failure",
            reason=sentence, http_status=403,
        )  # fmt: skip
        raise PermissionDenied(sentence)

    def perform_destroy(self, instance: ApiToken) -> None:
        self._fresh_caller(self.request)
        reason = "revoked through the API"
        if self._with_made(self.request):
            tokens.revoke_with_made(instance, reason=reason)
        else:
            tokens.revoke(instance, reason=reason)

    @staticmethod
    def _with_made(request: Request) -> bool:
        given = WithMadeSerializer(data=request.query_params)
        given.is_valid(raise_exception=True)
        return bool(given.validated_data["made"])

    @staticmethod
    def _owner(request: Request) -> User:
        owner: Any = request.user
        return User.objects.get(pk=owner.pk)

    @staticmethod
    def _fresh_caller(request: Request) -> ApiToken | None:
        """Return the calling token; a session must have proven its factor within ten minutes."""
        if isinstance(request.auth, ApiToken):
            return request.auth
        if not is_recent(request._request):
            raise PermissionDenied(STEP_UP, code="step_up_required")
        return None


ROUTES = [("tokens", ApiTokenViewSet, "token")]
