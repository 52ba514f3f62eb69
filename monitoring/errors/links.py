"""Parses the pagination Link header (RFC 8288) of Sentry and compatible servers (pure).

Sentry always sends both directions, with `results="false"` at the end. GlitchTip wraps the whole header
in braces and quotes; others quote differently, or use their own parameter. Only the query of the next
link is used: whatever host the link names, the next page is requested from the configured server.
"""

import re
from urllib.parse import parse_qsl, urlencode, urlsplit

MAX_QUERY = 4000
_VALUE = r"(?:\"[^\"]*\"|'[^']*'|[^\s;,\"'<>{}]+)"
_LINK = re.compile(rf"<([^<>]*)>((?:\s*;\s*[\w*-]+\s*=\s*{_VALUE})*)")
_PARAMETER = re.compile(rf";\s*([\w*-]+)\s*=\s*({_VALUE})")


def next_query(header: str) -> str | None:
    """Return the query of the next page, or None if this is the last one.

    A link without `results=` counts as one with results, because RFC 8288 does not define that parameter.
    """
    for target, written in _LINK.findall(header[:20_000]):
        said = _PARAMETER.findall(written)
        found = {name.lower(): value.strip("\"'").strip() for name, value in said}
        if "next" not in found.get("rel", "").lower().split():
            continue
        if found.get("results", "true").lower() not in ("true", "1"):
            return None
        return _query(target, found.get("cursor", ""))
    return None


def _query(target: str, cursor: str) -> str | None:
    try:
        pairs = parse_qsl(urlsplit(target).query, keep_blank_values=True)
    except ValueError:
        pairs = []
    if cursor and "cursor" not in dict(pairs):
        pairs.append(("cursor", cursor))
    query = urlencode(pairs)
    return query if 0 < len(query) <= MAX_QUERY else None
