"""Identifies the program behind a User-Agent without its version, because an update is not a new client."""

import re

# The first match decides, because browsers also contain each other's names.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS = ("Windows", "Android", "iPhone", "iPad", "Mac OS X", "Linux")
_PRODUCT = re.compile(r"^[A-Za-z][A-Za-z0-9._-]{0,40}")


def family(user_agent: str) -> str:
    """Return "curl", "python-requests" or "Firefox on Linux", for example; "unknown" if nothing matches."""
    if user_agent.startswith("Mozilla/"):
        browser = next((name for word, name in _BROWSERS if f"{word}/" in user_agent), "browser")
        system = next((name for name in _SYSTEMS if name in user_agent), "")
        return f"{browser} on {system}" if system else browser
    product = _PRODUCT.match(user_agent)
    return product[0] if product else "unknown"
