"""Defines the filters of the trail: one set for the admin's list, the API, saved filters and exports.

Each uses an index of migration 0003 (tests/audit/test_filters.py checks PostgreSQL's plans).
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

import django_filters as filters
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db.models import Q
from django.utils import timezone

from audit.models import AuditEntry, AuditEntryQuerySet

WINDOWS: dict[str, timedelta] = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
_TRACE = re.compile(r"[0-9a-f]{32}")
GROUP = RegexValidator(
    r"^[a-z][a-z0-9_]{0,49}$", "A group is the word before the dot, for example auth."
)


def parse_address(word: str) -> str:
    """Return an address in PostgreSQL's notation, or an empty string."""
    try:
        return "" if "%" in word else str(ip_address(word.strip()))
    except ValueError:
        return ""


def validate_address(word: str) -> None:
    if not parse_address(word):
        raise ValidationError("Write one address, for example 192.0.2.7 or 2001:db8::7.")


class TrailFilter(filters.FilterSet):
    """The filters of the audit trail; times are those of `recorded_at`."""

    q = filters.CharFilter(
        method="by_word",
        max_length=200,
        help_text="Exact match of an IP address, request id, trace id, action, actor name or target id.",
    )
    last = filters.ChoiceFilter(
        method="by_window",
        choices=[(name, name) for name in WINDOWS],
        help_text="Recorded within this period, up to now.",
    )
    since = filters.IsoDateTimeFilter(
        field_name="recorded_at",
        lookup_expr="gte",
        help_text="Recorded at or after this time (RFC 3339).",
    )
    until = filters.IsoDateTimeFilter(
        field_name="recorded_at",
        lookup_expr="lt",
        help_text="Recorded before this time (RFC 3339).",
    )
    action = filters.CharFilter(
        help_text="Exact name of the action, for example `alert.acknowledged`."
    )
    group = filters.CharFilter(
        method="by_group",
        validators=[GROUP],
        help_text="First part of the action; `auth` matches all actions that start with `auth.`.",
    )
    outcome = filters.ChoiceFilter(choices=AuditEntry.Outcome.choices)
    actor = filters.CharFilter(field_name="actor_name", help_text="Exact name of the actor.")
    impersonator = filters.CharFilter(
        method="by_impersonator",
        max_length=200,
        help_text="Exact name of the impersonator.",
    )
    target_type = filters.CharFilter(help_text="Exact type of the target.")
    target_id = filters.CharFilter(help_text="Exact id of the target.")
    service = filters.CharFilter(
        method="by_service", max_length=100, help_text="Slug of the service."
    )
    source_ip = filters.CharFilter(
        method="by_address",
        validators=[validate_address],
        help_text="IPv4 or IPv6 address of the client.",
    )
    request_id = filters.CharFilter(help_text="Exact request id.")
    trace_id = filters.CharFilter(help_text="Exact trace id.")

    class Meta:
        model = AuditEntry
        fields: tuple[str, ...] = ()

    def by_word(self, queryset: AuditEntryQuerySet, _name: str, word: str) -> AuditEntryQuerySet:
        word = word.strip()
        if address := parse_address(word):
            return queryset.filter(source_ip=address)
        if _TRACE.fullmatch(word):
            return queryset.filter(Q(request_id=word) | Q(trace_id=word))
        return queryset.filter(Q(action=word) | Q(actor_name=word) | Q(target_id=word))

    def by_window(self, queryset: AuditEntryQuerySet, _name: str, value: str) -> AuditEntryQuerySet:
        return queryset.since(timezone.now() - WINDOWS[value])

    def by_impersonator(
        self, queryset: AuditEntryQuerySet, _name: str, name: str
    ) -> AuditEntryQuerySet:
        # Repeats the condition of the partial index, so that it can be used.
        return queryset.exclude(impersonator_name="").filter(impersonator_name=name)

    def by_service(self, queryset: AuditEntryQuerySet, _name: str, slug: str) -> AuditEntryQuerySet:
        return queryset.of_service(slug)

    def by_group(self, queryset: AuditEntryQuerySet, _name: str, value: str) -> AuditEntryQuerySet:
        return queryset.filter(action__startswith=f"{value}.")

    def by_address(
        self, queryset: AuditEntryQuerySet, _name: str, value: str
    ) -> AuditEntryQuerySet:
        address = parse_address(value)
        return queryset.filter(source_ip=address) if address else queryset.none()


NAMES: tuple[str, ...] = tuple(TrailFilter.base_filters)


def given(query: Mapping[str, Any]) -> dict[str, str]:
    """Return those items of `query` that are filters with a value."""
    return {name: str(query[name]).strip() for name in NAMES if str(query.get(name, "")).strip()}


def checked(query: Mapping[str, Any]) -> dict[str, str]:
    """Return `query` in normal form. Raises ValidationError for unknown filters and invalid values."""
    if unknown := sorted(set(query) - set(NAMES)):
        raise ValidationError(
            f"{unknown[0][:50]!r} is not a filter of the audit trail. Available filters: {', '.join(NAMES)}."
        )
    kept = given(query)
    found = TrailFilter(kept, queryset=AuditEntry.objects.all())
    if not found.is_valid():
        name, sentences = next(iter(found.errors.items()))
        raise ValidationError(f"{name}: {sentences[0]}")
    return kept


def apply(query: Mapping[str, Any]) -> AuditEntryQuerySet:
    """Return the entries that match a checked query, newest first."""
    found = TrailFilter(dict(query), queryset=AuditEntry.objects.order_by("-recorded_at", "-id"))
    entries = found.qs
    assert isinstance(entries, AuditEntryQuerySet)
    return entries


def fixed(query: Mapping[str, str], *, at: datetime) -> dict[str, str]:
    """Return a checked query with `last` replaced by a fixed time, relative to `at`, so that it is repeatable."""
    kept = {name: value for name, value in query.items() if name != "last"}
    if "last" in query:
        since = at - WINDOWS[query["last"]]
        asked = TrailFilter(kept).form
        given = asked.cleaned_data.get("since") if asked.is_valid() else None
        kept["since"] = max(since, given or since).isoformat()
    return kept
