"""Query filters for API lists that reject an invalid value instead of ignoring the filter."""

from typing import Any

import django_filters as filters
from django.forms import TextInput
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

FORMATS = ("json", "csv")


class StrictFilterBackend(DjangoFilterBackend):
    """Rejects a boolean that is neither true nor false: django-filter's widget would ignore the filter."""

    def filter_queryset(self, request: Request, queryset: Any, view: Any) -> Any:
        filterset = self.get_filterset(request, queryset, view)
        for name, one in filterset.filters.items() if filterset else ():
            if isinstance(one, filters.BooleanFilter) and request.query_params.get(name):
                _refuse_unless_said(name, request.query_params[name])
        return super().filter_queryset(request, queryset, view)


def _refuse_unless_said(name: str, written: str) -> None:
    if written.lower() not in ("true", "false"):
        raise ValidationError({name: ["Write true or false."]})


def refuse_unknown_format(request: Request) -> None:
    """Raise ValidationError for a `?format=` that lists do not offer."""
    if request.query_params.get("format", "json") not in FORMATS:
        raise ValidationError({"format": [f"Available formats: {', '.join(FORMATS)}."]})


class _Words(filters.fields.MultipleChoiceField):
    def to_python(self, value: Any) -> list[str]:
        given = super().to_python(value)
        return [word.strip() for written in given for word in written.split(",") if word.strip()]


class ChoicesFilter(filters.MultipleChoiceFilter):
    """Takes one or more choices: separated by commas, or as a repeated parameter."""

    field_class = _Words


class _Joined(TextInput):
    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        given = data.getlist(name) if hasattr(data, "getlist") else data.get(name)
        return ",".join(given) if isinstance(given, list) else given


class WordsFilter(filters.CharFilter):
    """Takes one or more texts: separated by commas, or as a repeated parameter. A method gets them comma-joined."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, widget=_Joined, **options)
