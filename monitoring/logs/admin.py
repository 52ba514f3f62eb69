"""Admin for saved log searches; users can change only their own."""

from typing import ClassVar

from django.contrib import admin

from audit.admin_saved_queries import SavedQueryAdmin, SavedQueryForm
from monitoring.logs import saved as searches
from monitoring.logs.models import SavedSearch


class SavedSearchForm(SavedQueryForm):
    example = "q=timeout&service=shop&level=error&range=6h"

    class Meta(SavedQueryForm.Meta):
        model = SavedSearch

    def clean_query(self) -> dict[str, str]:
        return searches.checked(self.parameters())


@admin.register(SavedSearch)
class SavedSearchAdmin(SavedQueryAdmin):
    form = SavedSearchForm
    service: ClassVar = searches
