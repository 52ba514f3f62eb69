"""Which certificate authorities are trusted where nobody names one: those of the machine."""

import ssl
from pathlib import Path


def trusted() -> bool | str:
    """Return a file or folder of authorities as requests takes it; True, for its own, where there is none.

    What an administrator adds to the machine, or names by SSL_CERT_FILE, so holds for whatever asks by HTTP
    as it does for plain TLS.
    """
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return paths.cafile
    # A folder that exists may be empty: one that counts holds files named by the hash of the subject.
    is_filled = bool(paths.capath) and any(Path(paths.capath).glob("*.0"))
    return paths.capath if is_filled else True
