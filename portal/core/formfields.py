"""Form fields and widgets that several admins share."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib.admin.widgets import AutocompleteSelect
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextareaWidget

from portal.core.validators import validate_log_fields, validate_matchers

# Django's messages for these fields do not say what to write instead.
ERROR_MESSAGES: dict[type[forms.Field], dict[str, str]] = {
    forms.JSONField: {
        "invalid": 'This is not valid JSON. Put names and strings in double quotes: {"team": "payments"}.'
    },
    forms.URLField: {
        "invalid": "This is not a URL. Write one such as https://wiki.example.org/page."
    },
    forms.TimeField: {"invalid": "Write a time of the day such as 22:00."},
    forms.DateTimeField: {"invalid": "Write a date, or date and time, such as 2026-01-31 12:00."},
}


def install_error_messages() -> None:
    """Replace Django's default error messages of these fields in all forms."""
    for field, words in ERROR_MESSAGES.items():
        field.default_error_messages = {**field.default_error_messages, **words}


class MatchersField(forms.CharField):
    """Matchers as a list of strings, one per line, because a comma may be part of a value."""

    validate_lines = staticmethod(validate_matchers)

    def __init__(self, **options: Any) -> None:
        options.setdefault(
            "widget", UnfoldAdminTextareaWidget(attrs={"rows": 3, "spellcheck": "false"})
        )
        super().__init__(required=False, **options)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        lines = [line.strip() for line in str(value or "").splitlines() if line.strip()]
        self.validate_lines(lines)
        return lines

    def has_changed(self, initial: Any, data: Any) -> bool:
        return list(initial or []) != [x.strip() for x in str(data or "").splitlines() if x.strip()]


class LogFieldsField(MatchersField):
    """Pairs of field and value, one per line."""

    validate_lines = staticmethod(validate_log_fields)


class SearchedSelect(AutocompleteSelect):
    """Renders as unselected if the posted value is not a number; Django's would query for it and fail."""

    def optgroups(self, name: str, value: Sequence[str], attrs: Any = None) -> Any:
        numbers = [word for word in map(str, value) if word.isdecimal() and len(word) < 19]
        return super().optgroups(name, numbers, attrs)


class SearchedFieldsMixin:
    """For model admins with `autocomplete_fields`: the value posted there may not be a number."""

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        admin: Any = self
        if db_field.name in admin.get_autocomplete_fields(request):
            options.setdefault("widget", SearchedSelect(db_field, admin.admin_site))
        return super().formfield_for_foreignkey(db_field, request, **options)  # type: ignore[misc]
