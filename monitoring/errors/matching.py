"""Which service an issue belongs to: by matchers on its labels, else the one called like its project."""

from collections.abc import Mapping

from monitoring.errors.reconcile import ServiceOf
from portal.core.catalogue import Catalogue


def service_finder() -> ServiceOf:
    """Return a function over the catalogue as it is now; issues of the same labels are judged once."""
    catalogue = Catalogue.load()
    judged: dict[tuple[tuple[str, str], ...], int | None] = {}

    def service_of(labels: Mapping[str, str]) -> int | None:
        key = tuple(labels.items())
        if key not in judged:
            found = catalogue.service_id(labels)
            judged[key] = found or catalogue.by_slug.get(labels.get("project", ""))
        return judged[key]

    return service_of
