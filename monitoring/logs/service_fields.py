"""Adds to a log search the fields by which the catalogue identifies the lines of its service."""

from dataclasses import replace

from monitoring.logs.parameters import LogRequest
from portal.core.log_fields import grouped
from portal.core.models import Service


def with_service_fields(wanted: LogRequest) -> LogRequest:
    """Return the request with the log fields of its service; without any, lines are found by its slug."""
    name = wanted.query.service
    if not name:
        return wanted
    written = Service.objects.filter(slug=name).values_list("log_fields", flat=True).first()
    return replace(wanted, query=replace(wanted.query, own=grouped(written or ())))
