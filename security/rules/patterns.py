"""Recognises attacks in a path and its query: SQL injection, scripts, path traversal, commands.

Each expression takes linear time, and the input is cut, so that no request can make it slow.
"""

import re
from urllib.parse import unquote_plus

LIMIT = 2048
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "sqli",
        re.compile(
            r"union[\s/*]+(?:all[\s/*]+)?select\b|\bselect\b[^&]{1,100}\bfrom\b|['\"]\s*(?:or|and)\s+['\"\d]"
            r"|\bsleep\(\d|\bbenchmark\(|\bwaitfor\s+delay\b|information_schema|;\s*drop\s+table\b|\bextractvalue\("
        ),
    ),
    ("xss", re.compile(r"<\s*script|javascript:|\bon(?:error|load|mouseover|click)\s*=|<\s*(?:svg|iframe|img)\b")),
    (
        "lfi",
        re.compile(
            r"(?:\.\.[/\\]){2}|/etc/(?:passwd|shadow|hosts)\b|/proc/self/|\bphp://|\bfile://|boot\.ini|win\.ini|\x00"
        ),
    ),
    ("rce", re.compile(r"[;|`]\s*(?:cat|id|ls|wget|curl|nc|ping|whoami|uname)\b|\$\(|\$\{jndi:|/bin/(?:ba)?sh\b")),
    (
        "probe",
        re.compile(
            r"/\.(?:git|env|svn|aws|ssh|htpasswd|ds_store)\b|/wp-(?:login|admin|config)|/phpmyadmin|/cgi-bin/"
            r"|/xmlrpc\.php|/vendor/phpunit|/server-status\b"
        ),
    ),
)  # fmt: skip


def signal(path_and_query: str) -> str:
    """Return the kind of attack that the text looks like, or an empty string."""
    cut = path_and_query[:LIMIT]
    if not any(character in cut for character in "%'\"<(;|`$./\\+"):
        return ""
    text = unquote_plus(unquote_plus(cut)).lower()
    for kind, pattern in _PATTERNS:
        if pattern.search(text):
            return kind
    return ""
