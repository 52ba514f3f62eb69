"""Finds the machine's certificate authorities, which are trusted when an upstream names none."""

import ssl
from pathlib import Path


def system_bundle() -> bool | str:
    """Return the system's CA file or folder as a `verify` value for requests; True (certifi) if there is none.

    HTTPS then trusts the same authorities as plain TLS does, including those that an administrator
    adds to the machine or names in SSL_CERT_FILE.
    """
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return paths.cafile
    # The folder may exist but hold no usable file: OpenSSL reads only files named by the subject's hash.
    is_filled = bool(paths.capath) and any(Path(paths.capath).glob("*.0"))
    return paths.capath if is_filled else True
