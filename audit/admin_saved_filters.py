"""Admin for saved filters of the audit trail."""

from typing import ClassVar

from django.contrib import admin
from django.core.exceptions import ValidationError

from audit import filters, saved_filters
from audit.admin_saved_queries import SavedQueryAdmin, SavedQueryForm
from audit.export_models import SavedFilter


class SavedFilterForm(SavedQueryForm):
    example = "group=auth&outcome=failure&last=24h"

    class Meta(SavedQueryForm.Meta):
        model = SavedFilter

    def clean_query(self) -> dict[str, str]:
        checked = filters.checked(self.parameters())
        if not checked:
            raise ValidationError("Enter at least one filter, such as outcome=failure.")
        return checked


@admin.register(SavedFilter)
class SavedFilterAdmin(SavedQueryAdmin):
    form = SavedFilterForm
    service: ClassVar = saved_filters

    def view_on_site(self, obj: SavedFilter) -> str:
        return obj.get_absolute_url()
