"""Links a flag to the services that it concerns: those of the catalogue that its evidence names."""

from collections.abc import Sequence

from django.db import connection

from portal.core.models import Service
from security.models import Flag

# The lock makes a change of a service's slug wait, so that its trigger sees this row as well.
NAME = """
INSERT INTO security_flagservice (flag_id, slug, opened_at)
SELECT %s, slug, %s FROM core_service WHERE slug = ANY(%s) ORDER BY slug FOR KEY SHARE
ON CONFLICT DO NOTHING
"""


def of(flag: Flag) -> list[tuple[str, Service | None]]:
    """Return the services of a flag: the slug of each, and its row, or None if it was deleted."""
    slugs = flag.services.order_by("slug").values_list("slug", flat=True)
    rows = {service.slug: service for service in Service.objects.filter(slug__in=list(slugs))}
    return [(slug, rows.get(slug)) for slug in slugs]


def name(flag: Flag, slugs: Sequence[str]) -> None:
    """Add services to those that a flag concerns; slugs that are not in the catalogue are left out."""
    if slugs:
        with connection.cursor() as cursor:
            cursor.execute(NAME, [flag.pk, flag.opened_at, list(slugs)])
