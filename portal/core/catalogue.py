"""Finds the service that an alert or target belongs to, from its labels."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from portal.core.matcher_index import Index
from portal.core.matchers import Matcher, all_match
from portal.core.models import Service

Matchers = tuple[Matcher, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The services and their matchers; load it once per batch."""

    by_slug: dict[str, int]
    with_matchers: tuple[tuple[int, Matchers], ...]
    index: Index

    @classmethod
    def load(cls) -> "Catalogue":
        """Return the current catalogue: one query, and matchers are parsed only after a service has changed."""
        global _latest
        rows = list(Service.objects.in_order().values_list("id", "slug", "matchers"))
        known, catalogue = _latest
        if rows != known:
            catalogue = cls.of(
                (number, slug, tuple(Service(matchers=matchers).parsed_matchers()))
                for number, slug, matchers in rows
            )
            _latest = rows, catalogue
        return catalogue

    @classmethod
    def of(cls, services: Iterable[tuple[int, str, Matchers]]) -> "Catalogue":
        """Return a catalogue of services, given by id, slug and matchers, in that order of precedence."""
        known = list(services)
        with_matchers = tuple((number, matchers) for number, _slug, matchers in known if matchers)
        index = Index(matchers for _number, matchers in with_matchers)
        return cls({slug: number for number, slug, _matchers in known}, with_matchers, index)

    def service_id(self, labels: Mapping[str, str]) -> int | None:
        """Return the id of the service named by the label `service`, else found by matchers, else named by `job`."""
        named = self.by_slug.get(labels.get("service", ""))
        if named is not None:
            return named
        for place in self.index.candidates(labels):
            service_id, matchers = self.with_matchers[place]
            if all_match(matchers, labels):
                return service_id
        return self.by_slug.get(labels.get("job", ""))


# The rows that this process last read, and the catalogue built from them.
_latest: tuple[list[tuple[int, str, list[str]]], Catalogue] = ([], Catalogue.of([]))
