"""Form fields that several admins share."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminTextareaWidget

from portal.core.validators import validate_matchers


class MatchersField(forms.CharField):
    """Matchers, one per line: a comma may be part of a value. Its value is a list of texts."""

    def __init__(self, **options: Any) -> None:
        options.setdefault(
            "widget", UnfoldAdminTextareaWidget(attrs={"rows": 3, "spellcheck": "false"})
        )
        super().__init__(required=False, **options)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        lines = [line.strip() for line in str(value or "").splitlines() if line.strip()]
        validate_matchers(lines)
        return lines

    def has_changed(self, initial: Any, data: Any) -> bool:
        return list(initial or []) != [x.strip() for x in str(data or "").splitlines() if x.strip()]
