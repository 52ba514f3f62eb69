"""The filters of the alert list, the same in the API and behind its CSV."""

from typing import Any

import django_filters as filters
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils import timezone

from alerts.models import Alert, AlertQuerySet, Silence, SilenceQuerySet, State
from portal.core.filtering import ChoicesFilter, WordsFilter
from portal.core.matchers import MatcherError, parse

SEVERAL = "Several values are separated by commas, or the parameter is repeated."


def validate_label(written: str) -> None:
    try:
        matcher = parse(written)
    except MatcherError as error:
        raise ValidationError(str(error)) from error
    if matcher.operator != "=":
        raise ValidationError('Only equality is supported, for example instance="db1".')


class AlertFilter(filters.FilterSet):
    state = ChoicesFilter(choices=State.choices, help_text=SEVERAL)
    severity = WordsFilter(help_text=f"Exact match. {SEVERAL}", method="in_list")
    service = filters.CharFilter(field_name="service__slug", help_text="Slug of the service.")
    upstream = filters.CharFilter(field_name="upstream__name", help_text="Name of the upstream.")
    alertname = filters.CharFilter(help_text="Exact value of the `alertname` label.")
    fingerprint = filters.CharFilter(help_text="Fingerprint of the alert.")
    assigned_to = filters.CharFilter(
        field_name="assigned_to__username", help_text="User name of the assignee."
    )
    acknowledged = filters.BooleanFilter(
        field_name="acknowledged_at",
        lookup_expr="isnull",
        exclude=True,
        help_text="Whether the alert is acknowledged.",
    )
    since = filters.IsoDateTimeFilter(
        method="ended_after",
        help_text="Alerts that are open or were resolved at or after this time (RFC 3339).",
    )
    until = filters.IsoDateTimeFilter(
        field_name="starts_at",
        lookup_expr="lte",
        help_text="Alerts that started at or before this time (RFC 3339).",
    )
    q = filters.CharFilter(
        method="search", help_text="Part of the name, the summary or the `instance` label."
    )
    label = filters.CharFilter(
        method="has_label",
        validators=[validate_label],
        help_text='Alerts with this label, for example `instance="db1"`.',
    )

    class Meta:
        model = Alert
        fields: tuple[str, ...] = ()

    def in_list(self, queryset: AlertQuerySet, name: str, value: str) -> AlertQuerySet:
        return queryset.filter(
            **{f"{name}__in": [word.strip().lower() for word in value.split(",")]}
        )

    def ended_after(self, queryset: AlertQuerySet, _name: str, value: Any) -> AlertQuerySet:
        return queryset.filter(Q(ends_at__isnull=True) | Q(ends_at__gte=value))

    def search(self, queryset: AlertQuerySet, _name: str, value: str) -> AlertQuerySet:
        clean = value.replace("\x00", "")
        return queryset.filter(
            Q(alertname__icontains=clean)
            | Q(annotations__summary__icontains=clean)
            | Q(labels__instance__icontains=clean)
        )

    def has_label(self, queryset: AlertQuerySet, _name: str, value: str) -> AlertQuerySet:
        matcher = parse(value)
        return queryset.filter(labels__contains={matcher.name: matcher.value})


class SilenceFilter(filters.FilterSet):
    upstream = filters.CharFilter(
        field_name="upstream__name", help_text="Name of the Alertmanager."
    )
    state = filters.ChoiceFilter(
        choices=[(s, s) for s in ("pending", "active", "expired")], method="in_state"
    )

    class Meta:
        model = Silence
        fields: tuple[str, ...] = ()

    def in_state(self, queryset: SilenceQuerySet, _name: str, value: str) -> SilenceQuerySet:
        at = timezone.now()
        if value == "active":
            return queryset.active(at=at)
        return queryset.expired(at=at) if value == "expired" else queryset.pending(at=at)
