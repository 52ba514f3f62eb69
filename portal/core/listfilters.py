"""Filters of admin lists that several apps share."""

from django.contrib.admin import SimpleListFilter
from django.contrib.admin.options import IncorrectLookupParameters


class ChosenFilter(SimpleListFilter):
    """A filter by one of its choices. Another value is left out, and told, instead of passed over."""

    default = ""  # the name of what stands there without a choice

    def value(self) -> str | None:
        chosen = super().value()
        if (
            chosen
            and chosen != self.default
            and chosen not in {str(key) for key, _label in self.lookup_choices}
        ):
            raise IncorrectLookupParameters(f"{self.parameter_name} has no choice {chosen[:50]!r}")
        return chosen
