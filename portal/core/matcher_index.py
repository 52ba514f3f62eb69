"""Finds which of many lists of matchers could match given labels, without trying each of them (pure).

Thousands of alerts meet thousands of services and routes, and each regular expression costs microseconds.
Most matchers require one value, one of a few values, or a prefix: those are looked up in a dictionary.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from portal.core.matchers import Matcher

_LITERAL = r"[A-Za-z0-9_:/ -]"
_VALUES = re.compile(rf"{_LITERAL}+(?:\|{_LITERAL}+)*")
# The prefix must not be followed by a quantifier, which could make its last character optional.
_PREFIX = re.compile(rf"{_LITERAL}+(?![*?{{])")


class Key(NamedTuple):
    """The value that a label must have, or the prefix it must start with."""

    label: str
    text: str
    is_prefix: bool = False


def values_of(matcher: Matcher) -> set[str]:
    """Return the only label values that a matcher accepts; empty when they cannot be determined.

    The empty value is excluded: it stands for an absent label, which a lookup of present labels cannot find.
    """
    if matcher.operator == "=":
        return {matcher.value} - {""}
    is_list = matcher.operator == "=~" and _VALUES.fullmatch(matcher.value)
    return set(matcher.value.split("|")) if is_list else set()


def prefix_of(matcher: Matcher) -> str:
    """Return the prefix of every value that a matcher accepts; empty when it cannot be determined."""
    if matcher.operator != "=~" or "|" in matcher.value:
        return ""
    found = _PREFIX.match(matcher.value)
    return found[0] if found else ""


def keys_of(matcher: Matcher) -> list[Key]:
    """Return keys of which at least one fits every label a matcher accepts; none when it cannot be determined."""
    if values := values_of(matcher):
        return [Key(matcher.name, value) for value in values]
    prefix = prefix_of(matcher)
    return [Key(matcher.name, prefix, is_prefix=True)] if prefix else []


class Index:
    """Lists of matchers, each stored under the keys of its most selective matcher."""

    def __init__(self, lists: Iterable[Sequence[Matcher]]) -> None:
        self._by_key: dict[Key, list[int]] = defaultdict(list)
        self._lengths: dict[str, set[int]] = defaultdict(set)  # lengths of the prefixes, by label
        self._others: list[int] = []
        asked = [[keys for matcher in one if (keys := keys_of(matcher))] for one in lists]
        often = Counter(key for choices in asked for keys in choices for key in keys)
        for number, choices in enumerate(asked):
            rarest = min(choices, key=lambda keys: sum(often[key] for key in keys), default=())
            self._file(number, rarest)

    def _file(self, number: int, keys: Sequence[Key]) -> None:
        for key in keys:
            self._by_key[key].append(number)
            if key.is_prefix:
                self._lengths[key.label].add(len(key.text))
        if not keys:
            self._others.append(number)

    def candidates(self, labels: Mapping[str, str]) -> list[int]:
        """Return the positions, ascending, of the lists that may match; no other list matches."""
        found = list(self._others)
        for name, value in labels.items():
            found += self._by_key.get(Key(name, value), ())
            for length in self._lengths.get(name, ()):
                if length <= len(value):
                    found += self._by_key.get(Key(name, value[:length], is_prefix=True), ())
        return sorted(found)
