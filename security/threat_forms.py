"""The forms of flags, rules, blocks and the allow-list."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from security import blocks, subjects
from security.models import AllowEntry, Block, RuleSetting, SubjectKind

DURATIONS = (("10m", "10 minutes", 10), ("1h", "1 hour", 60), ("4h", "4 hours", 240), ("1d", "1 day", 1440),
             ("7d", "7 days", 10_080), ("30d", "30 days", 43_200))  # fmt: skip
RANGES = (
    ("1d", "the last 24 hours", 1),
    ("7d", "the last 7 days", 7),
    ("30d", "the last 30 days", 30),
)


class DecideForm(forms.Form):
    reason = forms.CharField(
        max_length=1000, required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2})
    )


class AssignForm(forms.Form):
    user = forms.ModelChoiceField(
        User.objects.none(), required=False, empty_label="Nobody", widget=UnfoldAdminSelectWidget
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen: Any = self.fields["user"]
        chosen.queryset = User.objects.filter(is_active=True, is_staff=True).order_by("username")


class DurationField(forms.ChoiceField):
    """A duration from a short list; its value is a timedelta."""

    def __init__(self, **options: Any) -> None:
        choices = [(key, label) for key, label, _ in DURATIONS]
        super().__init__(choices=choices, initial="4h", widget=UnfoldAdminSelectWidget, **options)

    def clean(self, value: Any) -> Any:
        chosen = super().clean(value)
        return timedelta(minutes={key: minutes for key, _label, minutes in DURATIONS}[chosen])


class BlockSubjectForm(forms.Form):
    """For the flag's page, where the subject is known."""

    duration = DurationField(label="Block it for")


class MadeByService(forms.ModelForm):  # type: ignore[type-arg]
    """A form that lets a service create its row during validation, so that errors are shown at their fields.

    The admin sets `maker` on a subclass for each request; the row is in `made`.
    """

    maker: Any = None
    made: Any = None

    def make(self, subject: subjects.Subject, given: dict[str, Any]) -> Any:
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                self.made = self.make(subjects.parse(given["kind"], given["value"]), given)
            except ValidationError as error:
                known = set(getattr(error, "error_dict", {})) <= set(self.fields)
                self.add_error(None, error if known else error.messages)
            except blocks.SelfBlockError as error:
                self.add_error("confirm", str(error))
        return given

    def _post_clean(self) -> None:
        """Leave validation to the service: the row already exists, and would violate its own unique constraint."""


SUBJECT_HELP = "An address, a network such as 192.0.2.0/24, a user name, or the id of a token."


def _subject_fields() -> tuple[forms.Field, forms.Field, forms.Field]:
    """Return the fields kind, value and reason."""
    return (
        forms.ChoiceField(choices=SubjectKind.choices, widget=UnfoldAdminSelectWidget),
        forms.CharField(max_length=200, widget=UnfoldAdminTextInputWidget, help_text=SUBJECT_HELP),
        forms.CharField(max_length=500, widget=UnfoldAdminTextInputWidget),
    )


class BlockForm(MadeByService):
    """A block created by hand. `confirm` is needed only if it hits its creator."""

    kind, value, reason = _subject_fields()
    duration = DurationField()
    confirm = forms.BooleanField(
        required=False,
        label="Block even if it affects me",
        widget=UnfoldBooleanSwitchWidget,
        help_text="Needed only when the block covers your own address, account or token.",
    )

    class Meta:
        model = Block
        fields = ("kind", "value", "reason")

    def make(self, subject: subjects.Subject, given: dict[str, Any]) -> Block:
        until = timezone.now() + given["duration"]
        return blocks.create(
            subject, expires_at=until, reason=given["reason"], actor=self.maker, confirmed=given["confirm"]
        )  # fmt: skip


class AllowEntryForm(MadeByService):
    kind, value, reason = _subject_fields()

    class Meta:
        model = AllowEntry
        fields = ("kind", "value", "reason")

    def make(self, subject: subjects.Subject, given: dict[str, Any]) -> AllowEntry:
        return blocks.allow(subject, reason=given["reason"], actor=self.maker)


class RuleForm(forms.Form):
    """One number per threshold of the rule, within its bounds; only values that differ from the defaults are saved."""

    enabled = forms.BooleanField(required=False, label="On", widget=UnfoldBooleanSwitchWidget)
    block_minutes = forms.IntegerField(
        min_value=0, max_value=10_080, label="Block the subject automatically (minutes)",
        widget=UnfoldAdminIntegerFieldWidget, help_text="0: never. What is on the allow-list is never blocked.",
    )  # fmt: skip

    def __init__(self, setting: RuleSetting, data: Any = None) -> None:
        self.setting = setting
        initial = {
            "enabled": setting.enabled,
            "block_minutes": setting.block_minutes,
            **setting.effective(),
        }
        super().__init__(data, initial=initial)
        for threshold in setting.spec.thresholds:
            self.fields[threshold.name] = forms.IntegerField(
                min_value=int(threshold.minimum), max_value=int(threshold.maximum),
                label=f"{threshold.text.rstrip('.')} ({threshold.unit})", widget=UnfoldAdminIntegerFieldWidget,
                help_text=f"From {threshold.minimum:g} to {threshold.maximum:g}; default {threshold.default:g}.",
            )  # fmt: skip

    def thresholds(self) -> dict[str, float]:
        """Return the numbers that differ from the defaults."""
        defaults = self.setting.spec.defaults
        given = {name: self.cleaned_data[name] for name in defaults}
        return {name: value for name, value in given.items() if value != defaults[name]}


class ReplayForm(forms.Form):
    days = forms.ChoiceField(
        choices=[(key, label) for key, label, _ in RANGES], initial="7d", label="Over", widget=UnfoldAdminSelectWidget
    )  # fmt: skip
