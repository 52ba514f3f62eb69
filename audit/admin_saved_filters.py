"""Saved filters in the admin: kept under a name, one's own to change."""

from typing import ClassVar

from django.contrib import admin
from django.core.exceptions import ValidationError

from audit import filters, saved_filters
from audit.admin_kept import KeptAdmin, KeptForm
from audit.export_models import SavedFilter


class SavedFilterForm(KeptForm):
    example = "group=auth&outcome=failure&last=24h"

    class Meta(KeptForm.Meta):
        model = SavedFilter

    def clean_query(self) -> dict[str, str]:
        kept = filters.checked(self.written())
        if not kept:
            raise ValidationError("Name at least one filter, such as outcome=failure.")
        return kept


@admin.register(SavedFilter)
class SavedFilterAdmin(KeptAdmin):
    form = SavedFilterForm
    service: ClassVar = saved_filters

    def view_on_site(self, obj: SavedFilter) -> str:
        return obj.get_absolute_url()
