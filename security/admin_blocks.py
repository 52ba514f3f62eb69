"""Admin for blocks and the allow-list; each write needs a fresh code."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.timesince import timeuntil
from unfold.admin import ModelAdmin
from unfold.decorators import display

from portal.core.paginator import CappedPaginator
from security import blocks
from security.admin_threat_filters import BlockStateFilter
from security.models import AllowEntry, Block
from security.stepup import StepUpAdminMixin
from security.threat_forms import AllowEntryForm, BlockForm


class BlockColumns:
    """What the list shows of a block."""

    @display(
        description="State", label={"active": "danger", "lifted": "info", "expired": "success"}
    )
    def shown_state(self, block: Block) -> str:
        return block.state(at=timezone.now())

    @display(description="Ends", ordering="expires_at")
    def ends(self, block: Block) -> str:
        now = timezone.now()
        if block.state(at=now) == "active":
            return f"in {timeuntil(block.expires_at, now, depth=1)}"
        return f"{block.ended_at or block.expires_at:%Y-%m-%d %H:%M} UTC"


@admin.register(Block)
class BlockAdmin(BlockColumns, StepUpAdminMixin, ModelAdmin):
    form = BlockForm
    paginator = CappedPaginator
    show_full_result_count = False
    list_display = ("__str__", "shown_state", "origin", "reason", "created_by", "ends")
    list_filter = (BlockStateFilter, "kind", "origin")
    search_fields = ("=value", "=name")
    search_help_text = "Exact address, network, account or token name"
    ordering = ("-created_at",)
    actions = ("lift",)
    readonly_facts = ("kind", "value", "name", "reason", "origin", "flag", "created_at", "created_by", "expires_at",
                      "ended_at", "ended_by", "end_reason")  # fmt: skip

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.readonly_facts if obj else ("kind", "value", "duration", "reason", "confirm")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, **{**kwargs, "form": forms.ModelForm})
        form = super().get_form(request, obj, **kwargs)
        return type(form.__name__, (form,), {"maker": request.user})

    def save_model(self, request: HttpRequest, obj: Block, form: Any, change: bool) -> None:
        obj.pk = form.made.pk

    @admin.action(description="Lift now", permissions=["change"])
    def lift(self, request: HttpRequest, queryset: QuerySet[Block]) -> None:
        done = [
            blocks.lift(block, actor=request.user, reason="lifted in the admin")
            for block in queryset
        ]
        messages.success(
            request, f"{sum(done)} of {len(done)} lifted; the others had already ended."
        )


@admin.register(AllowEntry)
class AllowEntryAdmin(StepUpAdminMixin, ModelAdmin):
    form = AllowEntryForm
    list_display = ("__str__", "kind", "reason", "created_by", "created_at")
    list_filter = ("kind",)
    search_fields = ("=value", "=name")
    fields = ("kind", "value", "reason")

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, **{**kwargs, "form": forms.ModelForm})
        form = super().get_form(request, obj, **kwargs)
        return type(form.__name__, (form,), {"maker": request.user})

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: AllowEntry, form: Any, change: bool) -> None:
        obj.pk = form.made.pk

    def delete_model(self, request: HttpRequest, obj: AllowEntry) -> None:
        blocks.disallow(obj, actor=request.user)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[AllowEntry]) -> None:
        for entry in queryset:
            blocks.disallow(entry, actor=request.user)
