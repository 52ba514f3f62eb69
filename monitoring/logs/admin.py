"""Saved log searches in the admin: kept under a name, one's own to change."""

from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from monitoring.logs import saved as searches
from monitoring.logs.models import SavedSearch


class SavedSearchForm(forms.ModelForm):  # type: ignore[type-arg]
    query = forms.CharField(
        max_length=4000,
        widget=UnfoldAdminTextInputWidget(),
        help_text="As in the address of the page, for example q=timeout&service=shop&level=error&range=6h.",
    )

    class Meta:
        model = SavedSearch
        fields: ClassVar = ("name", "query", "shared")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "query" in self.fields:
            self.initial["query"] = urlencode(self.instance.query)

    def clean_query(self) -> dict[str, str]:
        written = self.cleaned_data["query"].lstrip("?")
        return searches.checked(dict(parse_qsl(written, max_num_fields=50)))


@admin.register(SavedSearch)
class SavedSearchAdmin(ModelAdmin):
    form = SavedSearchForm
    list_display = ("name", "shown_query", "shared", "owner", "created_at")
    list_select_related = ("owner",)
    list_filter = ("shared",)
    search_fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SavedSearch]:
        return SavedSearch.objects.visible_to(request.user).order_by("name", "id")

    @display(description="Search")
    def shown_query(self, saved: SavedSearch) -> str:
        words = " ".join(f"{name}={value}" for name, value in saved.query.items())
        return format_html('<a href="{}">{}</a>', saved.get_absolute_url(), words)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_own = obj is None or obj.owner_id == request.user.pk
        return bool(is_own and super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_own = obj is None or obj.owner_id == request.user.pk or request.user.is_superuser
        return bool(is_own and super().has_delete_permission(request, obj))

    def save_model(self, request: HttpRequest, obj: SavedSearch, form: Any, change: bool) -> None:
        facts = {name: form.cleaned_data[name] for name in ("name", "query", "shared")}
        searches.save(obj, actor=request.user, **facts)

    def delete_model(self, request: HttpRequest, obj: SavedSearch) -> None:
        searches.delete(obj, actor=request.user)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[SavedSearch]) -> None:
        for saved in queryset:
            searches.delete(saved, actor=request.user)
