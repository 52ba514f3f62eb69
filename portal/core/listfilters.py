"""Base class for the list filters of several admins."""

from django.contrib.admin import SimpleListFilter
from django.contrib.admin.options import IncorrectLookupParameters


class ChosenFilter(SimpleListFilter):
    """A filter by one of its choices. Any other value raises, so that the list says so instead of ignoring it."""

    default = ""  # the value of the entry that is active when nothing is chosen

    def value(self) -> str | None:
        chosen = super().value()
        if (
            chosen
            and chosen != self.default
            and chosen not in {str(key) for key, _label in self.lookup_choices}
        ):
            raise IncorrectLookupParameters(f"{self.parameter_name} has no choice {chosen[:50]!r}")
        return chosen
