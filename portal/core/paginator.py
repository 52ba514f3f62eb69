"""Paginates the admin's big tables: counts up to a limit, then says "and more"."""

from typing import Any

from django.core.paginator import Paginator
from django.utils.functional import cached_property

COUNT_LIMIT = 1_000


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts at most `COUNT_LIMIT` rows, so that a page costs the same however long the history is.

    Older rows are reached by filtering on time, which uses an index; page numbers would have to read
    and discard all rows before them.
    """

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return (
            int(rows.order_by()[:COUNT_LIMIT].count()) if hasattr(rows, "order_by") else len(rows)
        )
