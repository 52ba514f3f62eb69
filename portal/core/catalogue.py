"""Which service an alert or target belongs to, from its labels."""

from collections.abc import Mapping
from dataclasses import dataclass

from portal.core.matchers import Matcher, all_match
from portal.core.models import Service


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The services with their matchers, loaded once per batch."""

    by_slug: dict[str, int]
    with_matchers: tuple[tuple[int, tuple[Matcher, ...]], ...]

    @classmethod
    def load(cls) -> "Catalogue":
        services = list(Service.objects.in_order().only("id", "slug", "matchers"))
        matchers = tuple((s.pk, tuple(s.parsed_matchers())) for s in services if s.matchers)
        return cls({service.slug: service.pk for service in services}, matchers)

    def service_id(self, labels: Mapping[str, str]) -> int | None:
        """Return the service named by the label `service`, else by matchers, else by `job`."""
        named = self.by_slug.get(labels.get("service", ""))
        if named is not None:
            return named
        for service_id, matchers in self.with_matchers:
            if all_match(matchers, labels):
                return service_id
        return self.by_slug.get(labels.get("job", ""))
