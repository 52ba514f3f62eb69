"""The certificate authorities that are trusted when an upstream names none: those of the machine."""

import ssl
from pathlib import Path


def system_bundle() -> bool | str:
    """Return the system's CA file or folder as `verify` of requests takes it; True (certifi) without one.

    So an authority that an administrator adds to the machine, or names in SSL_CERT_FILE, is trusted for
    HTTPS as it is for plain TLS.
    """
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return paths.cafile
    # The folder may exist and be empty; OpenSSL reads files that are named by the hash of the subject.
    is_filled = bool(paths.capath) and any(Path(paths.capath).glob("*.0"))
    return paths.capath if is_filled else True
