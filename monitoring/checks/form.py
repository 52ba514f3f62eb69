"""The form of a check: fields by kind, write-only headers, and validation of the PromQL."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldBooleanWidget

from monitoring.checks.targets import TargetError, headers_of
from monitoring.models import Check
from monitoring.panels import check_promql


class CheckForm(forms.ModelForm):  # type: ignore[type-arg]
    new_headers = forms.CharField(
        label="Headers",
        required=False,
        max_length=8000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2, "spellcheck": "false"}),
        help_text="HTTP: one per line, for example Authorization: Bearer …. Stored encrypted, never shown again.",
    )
    forget_headers = forms.BooleanField(required=False, widget=UnfoldBooleanWidget())

    class Meta:
        model = Check
        fields = (
            "service", "name", "kind", "enabled", "target", "method", "expected_status", "body_pattern",
            "follow_redirects", "verify_tls", "degraded_after_seconds", "expiry_warning_days", "upstream", "promql",
            "comparison", "threshold", "interval_seconds", "timeout_seconds", "failures_to_flip",
            "successes_to_recover", "severity", "raises_alert",
        )  # fmt: skip
        widgets = {"promql": UnfoldAdminTextareaWidget(attrs={"rows": 3, "spellcheck": "false"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = ", ".join(self.instance.headers or {})
        said = f"set: {names}; enter new ones to replace them" if names else "none set"
        self.fields["new_headers"].widget.attrs["placeholder"] = said
        self.fields["forget_headers"].disabled = not names

    def clean_new_headers(self) -> dict[str, str]:
        lines = [line.strip() for line in self.cleaned_data["new_headers"].splitlines()]
        found = {}
        for line in filter(None, lines):
            name, _, value = (part.strip() for part in line.partition(":"))
            found[name] = value
        try:
            return headers_of(found)
        except TargetError as error:
            raise ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        promql = cleaned.get("promql") if cleaned.get("kind") == Check.Kind.PROMQL else ""
        if promql and (objection := check_promql(promql, cleaned.get("upstream"))):
            self.add_error("promql", objection)
        return cleaned

    def written(self) -> list[str]:
        """Return the names of the columns this form changes, and set the headers on the instance."""
        columns = {field.name for field in Check._meta.fields}
        names = [name for name in self.changed_data if name in columns]
        if self.cleaned_data.get("forget_headers"):
            self.instance.headers, names = {}, [*names, "headers"]
        if typed := self.cleaned_data.get("new_headers"):
            self.instance.headers, names = typed, [*names, "headers"]
        return [*names, "target"]
