"""Admin for accounts, roles, tokens and factors. Dangerous actions are for superusers only, with step-up."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import admin as stock
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.admin import ModelAdmin

from security import admin_blocks, admin_flags, admin_siem, enrolment, one_time_secrets, tokens
from security.admin_forms import ApiTokenForm
from security.models import ApiToken, TotpDevice
from security.stepup import StepUpAdminMixin

__all__ = ["admin_blocks", "admin_flags", "admin_siem"]  # imported to register their models

# Django's admins register themselves on import; ours replace them.
for model in (User, Group):
    if isinstance(admin.site._registry.get(model), stock.UserAdmin | stock.GroupAdmin):
        admin.site.unregister(model)


TOKEN_FACTS = (
    "name", "user", "service", "hint", "scopes", "allowed_networks", "created_at", "expires_at", "revoked_at",
    "last_used_at", "last_used_ip", "made_with",
)  # fmt: skip


class SuperuserWritesMixin:
    """Reading needs the permission; only superusers may write, and nobody may delete."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)


class NoDeleteMixin:
    """Objects that the audit trail refers to are disabled, not deleted."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class NoEditMixin(NoDeleteMixin):
    """Rows that only services create and end."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(User)
class UserAdmin(StepUpAdminMixin, SuperuserWritesMixin, NoDeleteMixin, ModelAdmin):
    """Users choose their passwords through one-time links; administrators never do."""

    list_display = (
        "username",
        "first_name",
        "last_name",
        "is_active",
        "is_staff",
        "is_superuser",
        "last_login",
    )
    list_filter = ("is_active", "is_staff", "is_superuser", "groups")
    search_fields = ("username", "first_name", "last_name", "email")
    ordering = ("username",)
    filter_horizontal = ("groups", "user_permissions")
    readonly_fields = ("last_login", "date_joined")
    actions = ("make_enrolment_link",)
    fieldsets = (
        (None, {"fields": ("username", "first_name", "last_name", "email")}),
        ("May do", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )  # fmt: skip

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if not change:
            obj.set_unusable_password()
        super().save_model(request, obj, form, change)

    @admin.action(
        description="Create an enrolment link (new password and factor)", permissions=["change"]
    )
    def make_enrolment_link(
        self, request: HttpRequest, queryset: QuerySet[User]
    ) -> HttpResponse | None:
        if queryset.count() != 1:
            messages.error(request, "Select exactly one account: each link is for one person.")
            return None
        try:
            link = enrolment.make_link(queryset.get().get_username(), actor=request.user)
        except enrolment.EnrolmentError as error:
            messages.error(request, str(error))
            return None
        lead = "Send this link to the owner of the account through a secure channel. It works once, for 15 minutes."
        back = reverse("admin:auth_user_changelist")
        one_time_secrets.put(
            request.session, title="Enrolment link", lead=lead, secret=link, back=back
        )
        return redirect("security:shown_once")


@admin.register(Group)
class GroupAdmin(StepUpAdminMixin, SuperuserWritesMixin, ModelAdmin):
    search_fields = ("name",)
    ordering = ("name",)
    filter_horizontal = ("permissions",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)


class RevokesMixin:
    actions = ("revoke", "revoke_with_made")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("security.change_apitoken")

    @admin.action(description="Revoke selected tokens", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        done = [tokens.revoke(token, actor=request.user) for token in queryset]
        messages.success(
            request, f"{sum(done)} of {len(done)} revoked; the others were already revoked."
        )

    @admin.action(description="Revoke, with all tokens created by them", permissions=["revoke"])
    def revoke_with_made(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        count = sum(tokens.revoke_with_made(token, actor=request.user) for token in queryset)
        messages.success(request, f"Revoked: {count}. The others were already revoked.")


@admin.register(ApiToken)
class ApiTokenAdmin(StepUpAdminMixin, NoEditMixin, RevokesMixin, ModelAdmin):
    """A token is created and revoked, never edited; its text is shown once."""

    form = ApiTokenForm
    list_display = (
        "name", "user", "service", "hint", "scopes", "expires_at", "revoked_at", "last_used_at", "last_used_ip",
    )  # fmt: skip
    list_filter = ("revoked_at", "expires_at")
    list_select_related = ("user", "service")
    search_fields = ("name", "hint", "user__username")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        found: QuerySet[ApiToken] = super().get_queryset(request)
        return found if request.user.is_superuser else found.filter(user_id=request.user.pk or 0)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is not None:
            return TOKEN_FACTS
        owner = ("user",) if request.user.is_superuser else ()
        return ("name", *owner, "service", "scopes", "allowed_networks", "lifetime")

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form = super().get_form(request, *args, **kwargs)
        return type(form.__name__, (form,), {"maker": request.user})

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        token, written = form.mint()
        obj.pk, obj.user = token.pk, token.user
        facts = {"title": "New API token", "lead": f"{token.name} for {token.user.get_username()}."}
        back = reverse("admin:security_apitoken_changelist")
        one_time_secrets.put(request.session, secret=written, back=back, **facts)

    def response_add(self, request: HttpRequest, obj: ApiToken, *_args: Any) -> HttpResponse:
        return redirect("security:shown_once")


@admin.register(TotpDevice)
class TotpDeviceAdmin(StepUpAdminMixin, NoEditMixin, ModelAdmin):
    list_display = ("user", "confirmed", "created_at", "last_used_at")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    fields = ("user", "confirmed", "created_at", "last_used_at")
    readonly_fields = fields
    actions = ("reset",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_reset_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    @admin.action(description="Reset: the account enrols again", permissions=["reset"])
    def reset(self, request: HttpRequest, queryset: QuerySet[TotpDevice]) -> None:
        actor = User.objects.get(pk=request.user.pk or 0)
        for device in queryset.select_related("user"):
            try:
                enrolment.reset(device, actor=actor)
                messages.success(request, f"{device.user} sets up a new app at the next sign-in.")
            except enrolment.EnrolmentError as error:
                messages.error(request, str(error))
