"""Finds which log lines a service of the catalogue calls its own; without a word, those that name its slug."""

from dataclasses import replace

from monitoring.logs.asked import Asked
from portal.core.log_fields import grouped
from portal.core.models import Service


def with_own(wanted: Asked) -> Asked:
    """Return what is asked for, with the log fields of the service it names, where it has some."""
    name = wanted.query.service
    if not name:
        return wanted
    written = Service.objects.filter(slug=name).values_list("log_fields", flat=True).first()
    return replace(wanted, query=replace(wanted.query, own=grouped(written or ())))
