"""Which of many lists of matchers can hold for some labels at all, without trying each of them (pure).

Thousands of alerts meet thousands of services and routes, and an expression costs microseconds. Most
matchers ask for one value, or for one of a few, or for a beginning: those are looked up.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from portal.core.matchers import Matcher

_LITERAL = r"[A-Za-z0-9_:/ -]"
_VALUES = re.compile(rf"{_LITERAL}+(?:\|{_LITERAL}+)*")
# What follows it must not make its last character optional.
_PREFIX = re.compile(rf"{_LITERAL}+(?![*?{{])")


class Key(NamedTuple):
    """What a label has to be, or to begin with."""

    label: str
    text: str
    is_prefix: bool = False


def values_of(matcher: Matcher) -> set[str]:
    """Return the only values of its label that a matcher holds for; empty when it cannot be told.

    An empty value is what an absent label has, and is not among the labels that are there.
    """
    if matcher.operator == "=":
        return {matcher.value} - {""}
    is_list = matcher.operator == "=~" and _VALUES.fullmatch(matcher.value)
    return set(matcher.value.split("|")) if is_list else set()


def prefix_of(matcher: Matcher) -> str:
    """Return what every value begins with that a matcher holds for; empty when it cannot be told."""
    if matcher.operator != "=~" or "|" in matcher.value:
        return ""
    found = _PREFIX.match(matcher.value)
    return found[0] if found else ""


def keys_of(matcher: Matcher) -> list[Key]:
    """Return keys of which one fits whatever a matcher holds for; none when it cannot be told."""
    if values := values_of(matcher):
        return [Key(matcher.name, value) for value in values]
    prefix = prefix_of(matcher)
    return [Key(matcher.name, prefix, is_prefix=True)] if prefix else []


class Index:
    """Lists of matchers, each filed by what the rarest of its matchers asks for."""

    def __init__(self, lists: Iterable[Sequence[Matcher]]) -> None:
        self._by_key: dict[Key, list[int]] = defaultdict(list)
        self._lengths: dict[str, set[int]] = defaultdict(set)  # of the prefixes of a label
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
        """Return the numbers, ascending, of the lists that may hold; no other one does."""
        found = list(self._others)
        for name, value in labels.items():
            found += self._by_key.get(Key(name, value), ())
            for length in self._lengths.get(name, ()):
                if length <= len(value):
                    found += self._by_key.get(Key(name, value[:length], is_prefix=True), ())
        return sorted(found)
