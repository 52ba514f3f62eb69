"""Which service an alert or target belongs to, from its labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from portal.core.matchers import Matcher, all_match
from portal.core.models import Service

Matchers = tuple[Matcher, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The services with their matchers, loaded once per batch.

    A service with a matcher such as job="api" is only held against labels that have this one, for
    thousands of alerts meet thousands of services.
    """

    by_slug: dict[str, int] = field(default_factory=dict)
    with_matchers: list[tuple[int, Matchers]] = field(default_factory=list)
    # Positions in `with_matchers`: by the label one of their matchers asks for, and of all others.
    by_label: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    others: list[int] = field(default_factory=list)

    @classmethod
    def load(cls) -> "Catalogue":
        catalogue = cls()
        for service in Service.objects.in_order().only("id", "slug", "matchers"):
            catalogue.add(service.pk, service.slug, tuple(service.parsed_matchers()))
        return catalogue

    def add(self, service_id: int, slug: str, matchers: Matchers) -> None:
        """Add the next service in order."""
        self.by_slug[slug] = service_id
        if not matchers:
            return
        # An empty value is what an absent label has, and cannot be found among those that are there.
        asked = next(((m.name, m.value) for m in matchers if m.operator == "=" and m.value), None)
        places = self.by_label.setdefault(asked, []) if asked else self.others
        places.append(len(self.with_matchers))
        self.with_matchers.append((service_id, matchers))

    def service_id(self, labels: Mapping[str, str]) -> int | None:
        """Return the service named by the label `service`, else by matchers, else by `job`."""
        named = self.by_slug.get(labels.get("service", ""))
        if named is not None:
            return named
        places = [place for label in labels.items() for place in self.by_label.get(label, ())]
        for place in sorted(self.others + places):  # the first service in order wins
            service_id, matchers = self.with_matchers[place]
            if all_match(matchers, labels):
                return service_id
        return self.by_slug.get(labels.get("job", ""))
