"""What is kept under a name in the admin: everybody's shared ones in view, one's own to change.

Filters of the trail and searches of logs are such rows; each says by `service` who writes them.
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


class KeptForm(forms.ModelForm):  # type: ignore[type-arg]
    """The query is written as in the address of the page it belongs to, of which `example` is one."""

    example: ClassVar[str]
    query = forms.CharField(max_length=4000, widget=UnfoldAdminTextInputWidget())

    class Meta:
        fields: ClassVar = ("name", "query", "shared")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "query" not in self.fields:  # shown to whom it does not belong
            return
        self.fields["query"].help_text = f"As in an address, for example {self.example}."
        if self.instance.pk:
            self.initial["query"] = urlencode(self.instance.query)

    def written(self) -> dict[str, str]:
        """Return the parameters. Raises ValidationError for more of them than any page has."""
        try:
            return dict(parse_qsl(self.cleaned_data["query"].lstrip("?"), max_num_fields=50))
        except ValueError as error:
            raise ValidationError(
                "These are more than 50 parameters. Keep those of one page."
            ) from error


class KeptAdmin(ModelAdmin):
    """`service` is the module whose `save` and `delete` write."""

    service: ClassVar[Any]
    list_display = ("name", "shown_query", "shared", "owner", "created_at")
    list_select_related = ("owner",)
    list_filter = ("shared",)
    search_fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.model._default_manager.visible_to(request.user)
        return rows.order_by("name", "id")

    @display(description="Query")
    def shown_query(self, kept: Any) -> str:
        words = " ".join(f"{name}={value}" for name, value in kept.query.items())
        return format_html('<a href="{}">{}</a>', kept.get_absolute_url(), words)

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
        for kept in queryset:
            self.service.delete(kept, actor=request.user)
