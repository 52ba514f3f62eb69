"""The forms of the alert desk."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.auth.models import User
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from portal.core.matchers import Matcher, MatcherError, parse

DURATIONS = (("30m", "30 minutes", 30), ("2h", "2 hours", 120), ("8h", "8 hours", 480), ("1d", "1 day", 1440),
             ("3d", "3 days", 4320), ("7d", "7 days", 10080), ("30d", "30 days", 43200))  # fmt: skip


class TextForm(forms.Form):
    text = forms.CharField(
        label="Comment",
        max_length=4000,
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )


class CommentForm(forms.Form):
    text = forms.CharField(
        label="Comment", max_length=4000, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3})
    )


class AssignForm(forms.Form):
    user = forms.ModelChoiceField(
        User.objects.none(), required=False, empty_label="Nobody", widget=UnfoldAdminSelectWidget
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen: Any = self.fields["user"]
        chosen.queryset = User.objects.filter(is_active=True, is_staff=True).order_by("username")


class SilenceForm(forms.Form):
    """Matchers one per line, a duration and a reason."""

    matchers = forms.CharField(
        max_length=10_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 5, "spellcheck": "false"}),
        help_text='One per line, for example severity=~"warning|info". All of them must match.',
    )
    duration = forms.ChoiceField(
        choices=[(key, label) for key, label, _ in DURATIONS],
        initial="2h",
        widget=UnfoldAdminSelectWidget,
    )
    comment = forms.CharField(
        label="Reason",
        max_length=4000,
        widget=UnfoldAdminTextInputWidget,
        help_text="Visible to others, so that they know why the alert is silenced.",
    )

    def clean_matchers(self) -> list[Matcher]:
        try:
            found = [
                parse(line) for line in self.cleaned_data["matchers"].splitlines() if line.strip()
            ]
        except MatcherError as error:
            raise forms.ValidationError(str(error)) from error
        if not found:
            raise forms.ValidationError("Enter at least one matcher.")
        return found

    def clean_duration(self) -> timedelta:
        minutes = {key: length for key, _label, length in DURATIONS}
        return timedelta(minutes=minutes[self.cleaned_data["duration"]])
