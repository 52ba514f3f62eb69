"""Saved filters in the admin: kept under a name, one's own to change."""

from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from audit import filters, saved_filters
from audit.export_models import SavedFilter


class SavedFilterForm(forms.ModelForm):  # type: ignore[type-arg]
    query = forms.CharField(
        max_length=4000,
        widget=UnfoldAdminTextInputWidget(),
        help_text="As in the address of the list, for example group=auth&outcome=failure&last=24h.",
    )

    class Meta:
        model = SavedFilter
        fields: ClassVar = ("name", "query", "shared")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "query" in self.fields:
            self.initial["query"] = urlencode(self.instance.query)

    def clean_query(self) -> dict[str, str]:
        written = dict(parse_qsl(self.cleaned_data["query"].lstrip("?"), max_num_fields=50))
        kept = filters.checked(written)
        if not kept:
            raise ValidationError("Name at least one filter, such as outcome=failure.")
        return kept


@admin.register(SavedFilter)
class SavedFilterAdmin(ModelAdmin):
    form = SavedFilterForm
    list_display = ("name", "shown_query", "shared", "owner", "created_at")
    list_select_related = ("owner",)
    list_filter = ("shared",)
    search_fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SavedFilter]:
        return SavedFilter.objects.visible_to(request.user).order_by("name", "id")

    @display(description="Filter")
    def shown_query(self, saved: SavedFilter) -> str:
        words = " ".join(f"{name}={value}" for name, value in saved.query.items())
        return format_html('<a href="{}">{}</a>', saved.get_absolute_url(), words)

    def view_on_site(self, obj: SavedFilter) -> str:
        return obj.get_absolute_url()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_own = obj is None or obj.owner_id == request.user.pk
        return bool(is_own and super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_own = obj is None or obj.owner_id == request.user.pk or request.user.is_superuser
        return bool(is_own and super().has_delete_permission(request, obj))

    def save_model(self, request: HttpRequest, obj: SavedFilter, form: Any, change: bool) -> None:
        facts = {name: form.cleaned_data[name] for name in ("name", "query", "shared")}
        saved_filters.save(obj, actor=request.user, **facts)

    def delete_model(self, request: HttpRequest, obj: SavedFilter) -> None:
        saved_filters.delete(obj, actor=request.user)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[SavedFilter]) -> None:
        for saved in queryset:
            saved_filters.delete(saved, actor=request.user)
