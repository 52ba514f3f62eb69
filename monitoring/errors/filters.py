"""The filters of the list of errors, the same in the API and behind its CSV."""

from typing import Any

import django_filters as filters
from django.db.models import Q

from monitoring.errors.models import ErrorIssue, ErrorIssueQuerySet, IssueStatus
from portal.core.filtering import ChoicesFilter


class ErrorIssueFilter(filters.FilterSet):
    status = ChoicesFilter(
        choices=IssueStatus.choices,
        help_text="Several values are separated by commas, or the parameter is repeated.",
    )
    project = filters.CharFilter(help_text="Slug of the Sentry project.")
    service = filters.CharFilter(field_name="service__slug", help_text="Slug of the service.")
    upstream = filters.CharFilter(
        field_name="upstream__name", help_text="Name of the Sentry upstream."
    )
    level = filters.CharFilter(help_text="Level, for example error, warning or fatal.")
    substatus = filters.CharFilter(help_text="Sentry's substatus, for example regressed.")
    assigned_to = filters.CharFilter(help_text="Assignee in Sentry.")
    issue_id = filters.CharFilter(help_text="Id of the issue in Sentry.")
    gone = filters.BooleanFilter(
        field_name="gone_at", lookup_expr="isnull", exclude=True,
        help_text="Whether Sentry no longer lists the issue.",
    )  # fmt: skip
    since = filters.IsoDateTimeFilter(
        field_name="last_seen_at",
        lookup_expr="gte",
        help_text="Last seen at or after this time (RFC 3339).",
    )
    until = filters.IsoDateTimeFilter(
        field_name="first_seen_at",
        lookup_expr="lte",
        help_text="First seen at or before this time (RFC 3339).",
    )
    q = filters.CharFilter(method="search", help_text="Part of the title, culprit or short id.")

    class Meta:
        model = ErrorIssue
        fields: tuple[str, ...] = ()

    def search(self, queryset: ErrorIssueQuerySet, _name: str, value: Any) -> ErrorIssueQuerySet:
        clean = value.replace("\x00", "")
        return queryset.filter(
            Q(title__icontains=clean) | Q(culprit__icontains=clean) | Q(short_id__icontains=clean)
        )
