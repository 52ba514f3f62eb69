"""What the lists of the desk share: rows that the portal writes and people look at."""

from typing import Any

from django.http import HttpRequest
from unfold.admin import ModelAdmin

from portal.core.paginator import CappedPaginator


class ReadOnlyAdmin(ModelAdmin):
    """Rows that the portal writes: people look at them, and act through the verbs."""

    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
