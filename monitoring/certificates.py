"""Reads when the certificate of a server expires, whoever signed it."""

import ssl
from datetime import datetime
from urllib.parse import urlsplit

from cryptography import x509

from portal.core import sockets

LOOK_SECONDS = 5.0


def end_of(url: str) -> datetime | None:
    """Return when the certificate of an https URL expires; None for http, or when it cannot be read."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        return None
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, port = parts.hostname, parts.port or 443
    try:
        with (
            sockets.deadline(LOOK_SECONDS),
            sockets.connect(host, port, timeout_seconds=LOOK_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as wrapped,
        ):
            shown = wrapped.getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(shown).not_valid_after_utc if shown else None
    except (OSError, ValueError, sockets.ForbiddenAddressError):
        return None
