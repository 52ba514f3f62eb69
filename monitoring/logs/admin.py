"""Saved log searches in the admin: kept under a name, one's own to change."""

from typing import ClassVar

from django.contrib import admin

from audit.admin_kept import KeptAdmin, KeptForm
from monitoring.logs import saved as searches
from monitoring.logs.models import SavedSearch


class SavedSearchForm(KeptForm):
    example = "q=timeout&service=shop&level=error&range=6h"

    class Meta(KeptForm.Meta):
        model = SavedSearch

    def clean_query(self) -> dict[str, str]:
        return searches.checked(self.written())


@admin.register(SavedSearch)
class SavedSearchAdmin(KeptAdmin):
    form = SavedSearchForm
    service: ClassVar = searches
