"""Admin for saved queries: users see shared ones and their own, and change only their own.

Base classes for filters of the audit trail and for log searches.
"""

from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget


class SavedQueryForm(forms.ModelForm):  # type: ignore[type-arg]
    """The query is entered as in the URL of the page it belongs to; `example` shows one."""

    example: ClassVar[str]
    query = forms.CharField(max_length=4000, widget=UnfoldAdminTextInputWidget())

    class Meta:
        fields: ClassVar = ("name", "query", "shared")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "query" not in self.fields:  # read-only, because it belongs to another user
            return
        self.fields["query"].help_text = f"Written as URL parameters, for example {self.example}."
        if self.instance.pk:
            self.initial["query"] = urlencode(self.instance.query)

    def parameters(self) -> dict[str, str]:
        """Return the parameters of the query. Raises ValidationError when there are more than 50."""
        try:
            return dict(parse_qsl(self.cleaned_data["query"].lstrip("?"), max_num_fields=50))
        except ValueError as error:
            raise ValidationError(
                "There are more than 50 parameters. Use only those of one page."
            ) from error


class SavedQueryAdmin(ModelAdmin):
    """`service` is the module whose `save` and `delete` write the rows."""

    service: ClassVar[Any]
    list_display = ("name", "shown_query", "shared", "owner", "created_at")
    list_select_related = ("owner",)
    list_filter = ("shared",)
    search_fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.model._default_manager.visible_to(request.user)
        return rows.order_by("name", "id")

    @display(description="Query")
    def shown_query(self, saved: Any) -> str:
        words = " ".join(f"{name}={value}" for name, value in saved.query.items())
        return format_html('<a href="{}">{}</a>', saved.get_absolute_url(), words)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_own = obj is None or obj.owner_id == request.user.pk
        return bool(is_own and super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_own = obj is None or obj.owner_id == request.user.pk or request.user.is_superuser
        return bool(is_own and super().has_delete_permission(request, obj))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        facts = {name: form.cleaned_data[name] for name in ("name", "query", "shared")}
        self.service.save(obj, actor=request.user, **facts)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.service.delete(obj, actor=request.user)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for saved in queryset:
            self.service.delete(saved, actor=request.user)
