"""SIEM destinations in the admin; each write needs a fresh code."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display

from security.models import SiemDestination
from security.siem import destinations
from security.stepup import StepUpAdminMixin

STATE = ("state", "lag", "sent", "sent_at", "error")


class SiemDestinationForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = SiemDestination
        fields: ClassVar = ("name", "url", "format", "ca_pem", "max_bytes", "enabled")


@admin.register(SiemDestination)
class SiemDestinationAdmin(StepUpAdminMixin, ModelAdmin):
    form = SiemDestinationForm
    list_display = ("name", "shown_url", "format", "state", "lag", "sent")
    fields = ("name", "url", "format", "ca_pem", "max_bytes", "enabled", *STATE)
    readonly_fields = STATE

    def get_queryset(self, request: HttpRequest) -> QuerySet[SiemDestination]:
        return SiemDestination.objects.with_oldest_waiting()

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

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not (obj and obj.managed) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not (obj and obj.managed) and bool(super().has_delete_permission(request, obj))

    def save_model(
        self, request: HttpRequest, obj: SiemDestination, form: Any, change: bool
    ) -> None:
        destinations.save(obj)
