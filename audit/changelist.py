"""Pages through the list of the trail by keyset, so that an old page costs no more than the newest one.

There are no page numbers and no count. The links "older" and "newer" contain the position of the last
and first entry shown; the filter on time leads to any moment.
"""

import re
from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest

from audit import read_timeout
from audit.filters import NAMES, TrailFilter, given
from audit.models import AuditEntry, AuditEntryQuerySet

OLDER, NEWER = "older", "newer"
# Labels of filters in the form above the list, where they differ from the name.
LABELS = {"q": "Find exactly", "last": "Time", "since": "From", "until": "Until", "group": "Group",
          "outcome": "Outcome", "action": "Action", "service": "Service", "source_ip": "Address"}  # fmt: skip
_PLACE = re.compile(r"(\d{8}T\d{12})-(\d{1,18})")


def place_of(entry: AuditEntry) -> str:
    return f"{entry.recorded_at.astimezone(UTC):%Y%m%dT%H%M%S%f}-{entry.pk}"


def parse_place(written: str) -> tuple[datetime, int] | None:
    """Return the time and id of an entry; None for anything that `place_of` cannot have written."""
    match = _PLACE.fullmatch(written)
    try:
        moment = datetime.strptime(match[1], "%Y%m%dT%H%M%S%f") if match else None
    except ValueError:
        return None
    return (moment.replace(tzinfo=UTC), int(match[2])) if match and moment else None


class Pager:
    """The parts of a paginator that unfold's footer needs; the template links to the adjacent pages."""

    template_name = "audit/pager.html"
    older = newer = ""
    is_newest = True


class TrailChangeList(ChangeList):
    """Django's changelist with the filters of `audit.filters` and pages by keyset."""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        left = super().get_filters_params(params)
        return {name: value for name, value in left.items() if name not in (*NAMES, OLDER, NEWER)}

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        self.query = ""  # here `q` is an ordinary filter
        entries = super().get_queryset(request, exclude_parameters)
        found = TrailFilter(request.GET, queryset=entries)
        self.trail_filter = found
        self.has_active_filters = bool(given(request.GET))
        if found.is_valid():
            self._say_where_times_are_exchanged(request, **found.form.cleaned_data)
            return found.qs
        for name, sentences in found.errors.items():
            messages.error(request, f"{LABELS.get(name, name)}: {sentences[0]}")
        return entries.none()

    def _say_where_times_are_exchanged(
        self, request: HttpRequest, *, since: Any, until: Any, **_others: Any
    ) -> None:
        if since and until and since >= until:
            messages.warning(
                request, "“From” is not before “Until”, so nothing can match. Swap them."
            )

    def get_ordering(self, request: HttpRequest, queryset: Any) -> list[Any]:
        return ["-recorded_at", "-id"]

    def get_results(self, request: HttpRequest) -> None:
        self.paginator = Pager()
        try:
            with read_timeout.limited():
                self.result_list = self._page(request)
        except read_timeout.ReadTimeoutError as error:
            messages.error(request, str(error))
            self.result_list = []
        self.result_count = len(self.result_list)
        self.full_result_count = self.result_count
        self.show_full_result_count = self.show_admin_actions = False
        self.can_show_all = self.multi_page = False

    def _page(self, request: HttpRequest) -> list[AuditEntry]:
        """Return the entries of one page, and set the links of the pager."""
        size = self.list_per_page
        older = parse_place(request.GET.get(OLDER, ""))
        newer = parse_place(request.GET.get(NEWER, ""))
        if newer and not older:
            rows = list(_after(self.queryset, *newer)[: size + 1])
            if len(rows) > size:  # otherwise they all fit on the newest page
                return self._linked(rows[:size][::-1], has_newer=True, has_older=True)
            older = None
        entries = _before(self.queryset, *older) if older else self.queryset
        rows = list(entries[: size + 1])
        return self._linked(rows[:size], has_newer=bool(older), has_older=len(rows) > size)

    def _linked(
        self, rows: list[AuditEntry], *, has_newer: bool, has_older: bool
    ) -> list[AuditEntry]:
        pager, without = self.paginator, [OLDER, NEWER]
        pager.is_newest = not has_newer
        if rows and has_newer:
            pager.newer = self.get_query_string({NEWER: place_of(rows[0])}, [OLDER])
        if rows and has_older:
            pager.older = self.get_query_string({OLDER: place_of(rows[-1])}, [NEWER])
        pager.newest = self.get_query_string({}, without)
        return rows


def _before(entries: Any, moment: datetime, number: int) -> AuditEntryQuerySet:
    """Return entries older than a position; the first condition lets the index be used."""
    rows: AuditEntryQuerySet = entries.filter(recorded_at__lte=moment)
    return rows.exclude(recorded_at=moment, id__gte=number)


def _after(entries: Any, moment: datetime, number: int) -> AuditEntryQuerySet:
    """Return entries newer than a position, oldest first."""
    rows: AuditEntryQuerySet = entries.filter(recorded_at__gte=moment)
    return rows.exclude(recorded_at=moment, id__lte=number).order_by("recorded_at", "id")
