"""Writes of SIEM destinations; the diff of each is an audit entry (audit/tracked.py)."""

import logging
from pathlib import Path

from django.db import transaction

from audit import stream
from security.models.siem import SiemDestination

log = logging.getLogger(__name__)
MANAGED = "siem"


@transaction.atomic
def save(destination: SiemDestination) -> SiemDestination:
    """Create or change a destination; a new one begins at this moment. Raises ValidationError."""
    if destination.pk is None:
        destination.txid, destination.cluster = stream.horizon().txid, stream.cluster()
    else:  # what was wrong may be right now
        destination.not_before = None
    destination.full_clean()
    destination.save()
    return destination


def synchronise(url: str, ca_file: str) -> bool:
    """Keep the destination of the environment; True when something changed. It is never deleted."""
    found = SiemDestination.objects.filter(name=MANAGED).first()
    if not url:
        return bool(
            SiemDestination.objects.filter(managed=True, enabled=True).update(enabled=False)
        )
    try:
        ca_pem = Path(ca_file).read_text() if ca_file else ""
    except (OSError, UnicodeDecodeError) as error:
        log.error("SIEM_CA_FILE cannot be read (%s); the destination stays as it is.", error)
        return False
    wanted = (url, ca_pem, True, True)
    if found and (found.url, found.ca_pem, found.enabled, found.managed) == wanted:
        return False
    row = found or SiemDestination(name=MANAGED)
    row.url, row.ca_pem, row.enabled, row.managed = wanted
    save(row)
    return True
