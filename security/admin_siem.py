"""Admin for SIEM destinations; each write needs a fresh code."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextareaWidget,
    UnfoldBooleanWidget,
)

from security.models import SiemDestination
from security.siem import destinations
from security.stepup import StepUpAdminMixin

SETTINGS = ("name", "url", "format", "ca_pem", "max_bytes", "enabled")
SECRET = ("new_token", "forget_token")
STATE = ("state", "shown_error", "lag", "sent", "sent_at")


class SiemDestinationForm(forms.ModelForm):  # type: ignore[type-arg]
    """The token is write-only: an empty field keeps the stored one."""

    new_token = forms.CharField(
        label="Token", required=False, max_length=4000, help_text="Sent to an https destination as a bearer token.",
        widget=UnfoldAdminPasswordWidget(render_value=False, attrs={"autocomplete": "new-password"}),
    )  # fmt: skip
    forget_token = forms.BooleanField(required=False, widget=UnfoldBooleanWidget())

    class Meta:
        model = SiemDestination
        fields: ClassVar = SETTINGS
        labels: ClassVar = {"url": "URL", "max_bytes": "Longest message (bytes)"}
        widgets: ClassVar = {
            "ca_pem": UnfoldAdminTextareaWidget(attrs={"rows": 4, "spellcheck": "false"})
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        is_set = bool(self.instance.pk and self.instance.token)
        words = "set; enter a new one to replace it" if is_set else "not set"
        if "new_token" in self.fields:  # absent for accounts that may only view
            self.fields["new_token"].widget.attrs["placeholder"] = words
            self.fields["forget_token"].disabled = not is_set

    def token(self) -> str | None:
        """Return the new token, "" to delete the stored one, or None to keep it."""
        typed = str(self.cleaned_data.get("new_token") or "")
        return typed or ("" if self.cleaned_data.get("forget_token") else None)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        given = SiemDestination(pk=self.instance.pk, url=cleaned.get("url", ""))
        if "url" in cleaned:
            destinations.check_token(given, self.token())
        return cleaned


class SiemColumns:
    """What list and page show about the state of a destination."""

    @display(
        description="State",
        label={"sending": "success", "failing": "danger", "disabled": "info"},
    )
    def state(self, destination: SiemDestination) -> str:
        if not destination.enabled:
            return "disabled"
        return "failing" if destination.failures else "sending"

    @display(description="Behind by")
    def lag(self, destination: SiemDestination) -> str:
        seconds = destination.lag_seconds(at=timezone.now())
        return f"{seconds:,.0f} s" if seconds else "nothing"

    @display(description="URL", ordering="url")
    def shown_url(self, destination: SiemDestination) -> str:
        note = " (from the environment)" if destination.managed else ""
        return format_html('<span class="portal-code">{}</span>{}', destination.url, note)

    @display(description="Error")
    def shown_error(self, destination: SiemDestination) -> str:
        if not destination.error:
            return "—"
        return format_html('<span class="portal-sentence">{}</span>', destination.error)


@admin.register(SiemDestination)
class SiemDestinationAdmin(SiemColumns, StepUpAdminMixin, ModelAdmin):
    form = SiemDestinationForm
    list_display = ("name", "shown_url", "format", "state", "shown_error", "lag", "sent")
    readonly_fields = STATE

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        may_write = obj is None or self.has_change_permission(request, obj)
        settings = (*SETTINGS[:2], *(SECRET if may_write else ()), *SETTINGS[2:])
        state = [("State", {"fields": STATE})] if obj else []
        return [*state, (None, {"fields": settings})]

    def get_queryset(self, request: HttpRequest) -> QuerySet[SiemDestination]:
        return SiemDestination.objects.with_oldest_waiting()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not (obj and obj.managed) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not (obj and obj.managed) and bool(super().has_delete_permission(request, obj))

    def save_model(
        self, request: HttpRequest, obj: SiemDestination, form: Any, change: bool
    ) -> None:
        destinations.save(obj, token=form.token())
