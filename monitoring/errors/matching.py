"""Finds the service of an issue: by matchers on its labels, else by the name of its project."""

import hashlib
from collections.abc import Iterable, Mapping

from monitoring.errors.reconcile import ServiceOf
from portal.core.catalogue import Catalogue


def catalogue_mark(projects: Iterable[str]) -> str:
    """Return a short string that changes when issues may have to be assigned to other services."""
    catalogue = Catalogue.load()
    judged_by = repr((sorted(catalogue.by_slug.items()), catalogue.with_matchers, sorted(projects)))
    return hashlib.blake2b(judged_by.encode(), digest_size=16).hexdigest()


def service_finder() -> ServiceOf:
    """Return a function that looks up services in the current catalogue, once per set of labels."""
    catalogue = Catalogue.load()
    judged: dict[tuple[tuple[str, str], ...], int | None] = {}

    def service_of(labels: Mapping[str, str]) -> int | None:
        key = tuple(labels.items())
        if key not in judged:
            found = catalogue.service_id(labels)
            judged[key] = found or catalogue.by_slug.get(labels.get("project", ""))
        return judged[key]

    return service_of
