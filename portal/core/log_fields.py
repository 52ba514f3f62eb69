"""Parses the `field=value` pairs by which a service identifies its log lines (pure).

Pairs with the same field are alternatives; different fields must all match, as in the filters of a log search.
"""

import re
from collections.abc import Iterable

_SYNTAX = re.compile(r"\s*([A-Za-z_@][A-Za-z0-9_@./-]{0,199})\s*=\s*(.*?)\s*", re.S)
VALUE_LIMIT = 200
MOST_PAIRS = 20

Own = tuple[tuple[str, tuple[str, ...]], ...]  # each field with the values it may have


class LogFieldError(ValueError):
    """A pair cannot be parsed; the message quotes it and shows the syntax."""


def parse(written: str) -> tuple[str, str]:
    """Return field and value of a pair such as `service.name=shop-api`. Raises LogFieldError."""
    found = _SYNTAX.fullmatch(written)
    value = found[2].strip('"') if found else ""
    if found is None or not value or len(value) > VALUE_LIMIT or not value.isprintable():
        raise LogFieldError(
            f"{written[:100]!r} is not a pair of field and value. Write field=value, for example service.name=shop-api."
        )
    return found[1], value


def grouped(pairs: Iterable[str]) -> Own:
    """Return each field with its values, in the given order; skip a pair that no longer parses."""
    found: dict[str, list[str]] = {}
    for written in pairs:
        try:
            name, value = parse(written)
        except LogFieldError:
            continue
        found.setdefault(name, []).append(value)
    return tuple((name, tuple(dict.fromkeys(values))) for name, values in found.items())
