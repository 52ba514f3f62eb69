"""Writes SIEM destinations; each change is audited with its diff (audit/tracked.py)."""

import logging
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import transaction

from audit import stream
from security.models.siem import SiemDestination, SiemFormat

log = logging.getLogger(__name__)
MANAGED = "siem"
OTHER_SERVER = (
    "The URL changes to another server. Enter the token again, or an empty one, so that it is not sent to the"
    " wrong server."
)
SET_BY_PEOPLE = (
    "name", "url", "token", "format", "ca_pem", "max_bytes", "enabled", "managed", "not_before",
)  # fmt: skip
SYSLOG_HAS_NONE = "Syslog does not use a token. Remove it, or use an https:// URL."


@transaction.atomic
def save(destination: SiemDestination, *, token: str | None = None) -> SiemDestination:
    """Create or change a destination; a new one starts with the entries from now on. Raises ValidationError.

    `token` replaces the stored one, an empty one deletes it; None keeps it, unless the URL changes to
    another server, which must not receive it.
    """
    if destination.pk is None:
        destination.txid, destination.cluster = stream.horizon().txid, stream.cluster()
    destination.not_before = None  # the change may have fixed the failure, so retry now
    destination.full_clean()
    is_new = destination.pk is None
    destination.token = check_token(destination, token)
    # Only these columns of an existing row: its cursor may have advanced since it was read.
    destination.save(update_fields=None if is_new else SET_BY_PEOPLE)
    return destination


def check_token(destination: SiemDestination, token: str | None) -> str:
    """Return the destination's new token. Raises ValidationError for the URL."""
    before = SiemDestination.objects.filter(pk=destination.pk).first() if destination.pk else None
    stored = str((before and before.token) or "")
    kept = stored if token is None else token.strip()
    if not (kept.isascii() and kept.isprintable()):
        raise ValidationError(
            "The token contains a character that is not allowed in a header. Copy it again."
        )
    if kept and not destination.is_https:
        raise ValidationError({"url": SYSLOG_HAS_NONE})
    moves = before and urlsplit(before.url)[:2] != urlsplit(destination.url)[:2]
    if stored and token is None and moves:
        raise ValidationError({"url": OTHER_SERVER})
    return kept


def synchronise(url: str, ca_file: str, token: str = "") -> bool:
    """Create or update the destination from the environment; True when something changed. It is never deleted."""
    found = SiemDestination.objects.filter(name=MANAGED).first()
    if not url:
        return bool(
            SiemDestination.objects.filter(managed=True, enabled=True).update(enabled=False)
        )
    try:
        ca_pem = Path(ca_file).read_text() if ca_file else ""
    except (OSError, UnicodeDecodeError) as error:
        log.error("SIEM_CA_FILE cannot be read (%s); the destination is unchanged.", error)
        return False
    token = token if url.startswith("https:") else ""
    wanted = (url, ca_pem, True, True, token)
    row = found or SiemDestination(name=MANAGED)
    if found and (row.url, row.ca_pem, row.enabled, row.managed, row.token or "") == wanted:
        return False
    row.url, row.ca_pem, row.enabled, row.managed, _token = wanted
    if row.is_https:
        row.format = SiemFormat.ECS
    try:
        save(row, token=token)
    except ValidationError as error:
        said = " ".join(error.messages)
        log.error(
            "SIEM_URL, SIEM_TOKEN or SIEM_CA_FILE cannot be used; nothing is changed: %s", said
        )
        return False
    return True
