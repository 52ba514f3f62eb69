"""Which of many lists of matchers can hold for some labels at all, without trying each of them (pure).

Thousands of alerts meet thousands of services and routes, and an expression costs microseconds. Most
matchers ask for one value, or for one of a few, or for a beginning: those are looked up.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from portal.core.matchers import Matcher

_LITERAL = r"[A-Za-z0-9_:/ -]"
_VALUES = re.compile(rf"{_LITERAL}+(?:\|{_LITERAL}+)*")
# What follows it must not make its last character optional.
_PREFIX = re.compile(rf"{_LITERAL}+(?![*?{{])")

Place = tuple[str, str]  # a label, and its value or the beginning of it


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


class Index:
    """Lists of matchers, filed by what one of each asks for."""

    def __init__(self, lists: Iterable[Sequence[Matcher]]) -> None:
        self._by_value: dict[Place, list[int]] = defaultdict(list)
        self._by_prefix: dict[Place, list[int]] = defaultdict(list)
        self._lengths: dict[str, set[int]] = defaultdict(set)  # of the prefixes of a label
        self._others: list[int] = []
        for number, matchers in enumerate(lists):
            self._file(number, matchers)

    def _file(self, number: int, matchers: Sequence[Matcher]) -> None:
        for matcher in matchers:
            if values := values_of(matcher):
                for value in values:
                    self._by_value[matcher.name, value].append(number)
                return
        for matcher in matchers:
            if prefix := prefix_of(matcher):
                self._by_prefix[matcher.name, prefix].append(number)
                self._lengths[matcher.name].add(len(prefix))
                return
        self._others.append(number)

    def candidates(self, labels: Mapping[str, str]) -> list[int]:
        """Return the numbers, ascending, of the lists that may hold; no other one does."""
        found = list(self._others)
        for name, value in labels.items():
            found += self._by_value.get((name, value), ())
            for length in self._lengths.get(name, ()):
                if length <= len(value):
                    found += self._by_prefix.get((name, value[:length]), ())
        return sorted(found)
