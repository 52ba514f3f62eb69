"""Admin for upstreams: their freshness, and a form that never shows a stored credential."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from monitoring import connection_test
from portal.core.models import Upstream, UpstreamKind
from portal.core.object_actions import ObjectActionsMixin
from portal.core.wording import duration
from portal.sight import source_of
from portal.templatetags.portal_text import age, seconds

SECRETS = ("username", "password", "token")


def _hidden() -> UnfoldAdminPasswordWidget:
    return UnfoldAdminPasswordWidget(render_value=False, attrs={"autocomplete": "new-password"})


class UpstreamForm(forms.ModelForm):  # type: ignore[type-arg]
    """Credentials are write-only: an empty field keeps the stored value."""

    username = forms.CharField(required=False, max_length=200, widget=UnfoldAdminTextInputWidget())
    password = forms.CharField(required=False, max_length=500, strip=False, widget=_hidden())
    token = forms.CharField(
        required=False, max_length=4000, widget=_hidden(), help_text="Sent as a bearer token."
    )
    forget_credentials = forms.BooleanField(required=False, widget=UnfoldBooleanWidget())

    class Meta:
        model = Upstream
        fields: ClassVar = ("name", "kind", "url", "enabled", "interval_seconds", "options")
        widgets: ClassVar = {
            "options": UnfoldAdminTextareaWidget(attrs={"rows": 4, "spellcheck": "false"})
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "kind" in self.fields:
            self.fields["kind"].choices = UpstreamKind.servers()  # type: ignore[attr-defined]
        stored = self.instance.credentials or {}
        for name in SECRETS:
            is_set = "set; enter a new one to replace it" if stored.get(name) else "not set"
            self.fields[name].widget.attrs["placeholder"] = is_set
        if not stored:
            self.fields["forget_credentials"].disabled = True

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        typed = {name: cleaned[name] for name in SECRETS if cleaned.get(name)}
        stored = {} if cleaned.get("forget_credentials") else dict(self.instance.credentials or {})
        if "token" in typed and "password" in typed:
            raise ValidationError("Enter either a token or a user with a password, not both.")
        if "token" in typed:
            stored = {}
        elif typed:
            stored.pop("token", None)
        if stored and not typed and self.instance.moves_to(cleaned.get("url", "")):
            raise ValidationError(
                "The address changes to another server. Enter the credentials again, or delete them, so"
                " that they are not sent to the wrong server."
            )
        cleaned["credentials"] = {**stored, **typed}
        return cleaned

    def save(self, commit: bool = True) -> Upstream:
        self.instance.credentials = self.cleaned_data["credentials"]
        upstream: Upstream = super().save(commit)
        return upstream


class UpstreamColumns:
    """What the list shows of each upstream."""

    @display(description="Upstream", ordering="name")
    def shown_name(self, upstream: Upstream) -> str:
        return format_html("{}<br><small>{}</small>", upstream.name, upstream.get_kind_display())

    @display(description="Freshness")
    def shown_state(self, upstream: Upstream) -> str:
        if not upstream.enabled:
            return format_html('<span class="badge fresh-off">{}</span>', "Disabled")
        source = source_of(upstream, at=timezone.now())
        return format_html(
            '<span class="badge fresh-{}">{}</span> <span class="portal-sentence">{}</span>',
            source.state, source.label, source.sentence or source.warning,
        )  # fmt: skip

    @display(description="Last success", ordering="succeeded_at")
    def shown_age(self, upstream: Upstream) -> str:
        taking = upstream.duration_seconds
        said = age(upstream.succeeded_at, timezone.now())
        ago = f"{said} ago" if upstream.succeeded_at else said
        return ago + (f", in {seconds(taking)}" if taking is not None else "")

    @display(description="Every", ordering="interval_seconds")
    def shown_interval(self, upstream: Upstream) -> str:
        return duration(upstream.interval_seconds)

    @display(description="URL", ordering="url")
    def shown_url(self, upstream: Upstream) -> str:
        note = " (from the environment)" if upstream.managed else ""
        return format_html('<span><span class="portal-code">{}</span>{}</span>', upstream.url, note)


def test_connection(request: HttpRequest, pk: int) -> HttpResponse:
    """Probe the server now, and return to its page with the result."""
    if not request.user.has_perm("core.change_upstream"):
        raise PermissionDenied
    upstream = get_object_or_404(Upstream.objects.exclude(kind=UpstreamKind.PORTAL), pk=pk)
    result = connection_test.run(upstream, actor=request.user)
    level = messages.SUCCESS if result.ok else messages.ERROR
    messages.add_message(request, level, result.sentence)
    for warning in result.warnings:
        messages.warning(request, warning)
    return redirect(upstream.get_absolute_url())


@admin.register(Upstream)
class UpstreamAdmin(UpstreamColumns, ObjectActionsMixin, ModelAdmin):
    form = UpstreamForm
    list_display = ("shown_name", "shown_state", "shown_age", "shown_url", "shown_interval")
    list_filter = ("kind", "enabled")
    search_fields = ("name", "url")
    object_actions = {"test": test_connection}
    change_form_outer_before_template = "portal/upstream_state.html"
    fieldsets = (
        (None, {"fields": (("name", "kind"), "url", ("enabled", "interval_seconds"))}),
        (
            "Credentials",
            {
                "fields": ("username", "password", "token", "forget_credentials"),
                "description": "Stored encrypted and never shown again. Leave empty to keep what is set.",
            },
        ),
        ("Options", {"fields": ("options",), "classes": ("collapse",)}),
    )

    def save_model(self, request: HttpRequest, obj: Upstream, form: Any, change: bool) -> None:
        """Write only the changed columns: a poll may be writing the others at the same time."""
        columns = {field.name for field in Upstream._meta.concrete_fields}
        changed = [*columns.intersection(form.changed_data), "credentials"]
        obj.save(update_fields=changed if change else None)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Upstream]:
        shown: QuerySet[Upstream] = super().get_queryset(request)
        return shown.exclude(kind=UpstreamKind.PORTAL)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Upstream | None = None
    ) -> tuple[str, ...]:
        if obj is None:
            return ()
        return ("name", "kind", "url", "enabled") if obj.managed else ("kind",)

    def has_delete_permission(self, request: HttpRequest, obj: Upstream | None = None) -> bool:
        return not (obj and obj.managed) and super().has_delete_permission(request, obj)
