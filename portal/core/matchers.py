"""Parses and evaluates label matchers with Alertmanager's four operators (pure).

Syntax as in Alertmanager's `matchers:`; regular expressions are anchored at both ends.
https://prometheus.io/docs/alerting/latest/configuration/#matcher
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]

OPERATORS = ("=~", "!~", "!=", "=")
_SYNTAX = re.compile(
    r'^\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^"\s,]*))\s*$', re.S
)
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


class MatcherError(ValueError):
    """A matcher cannot be parsed; the message quotes it and says why."""


_OPTIONS = re2.Options()
_OPTIONS.dot_nl = True
_OPTIONS.log_errors = False


# As many as a large catalogue and its routes have together, at a few kilobytes each: with a smaller
# cache, each pass over all of them would compile all of them again.
@lru_cache(maxsize=10_000)
def _compiled(pattern: str) -> Any:
    """Compile with RE2, as Alertmanager does: same syntax, and linear time for any pattern."""
    return re2.compile(pattern, _OPTIONS)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label; an absent label counts as empty."""

    name: str
    operator: str
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        actual = labels.get(self.name, "")
        if self.operator in ("=", "!="):
            return (actual == self.value) == (self.operator == "=")
        return bool(_compiled(self.value).fullmatch(actual)) == (self.operator == "=~")

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{self.operator}"{escaped}"'


def parse(written: str) -> Matcher:
    """Parse one matcher such as `severity=~"critical|page"`. Raises MatcherError."""
    found = _SYNTAX.match(written)
    if not found:
        raise MatcherError(
            f'{written!r} is not a matcher. Write name="value", with =, !=, =~ or !~.'
        )
    name, operator, quoted, bare = found.groups()
    value = (
        re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), quoted, flags=re.S)
        if quoted is not None
        else bare
    )
    return build(name, operator, value)


def build(name: str, operator: str, value: str) -> Matcher:
    """Return a validated matcher. Raises MatcherError when the regular expression is invalid."""
    if operator not in OPERATORS:
        raise MatcherError(f"{operator!r} is not an operator. Use one of =, !=, =~, !~.")
    if operator in ("=~", "!~"):
        if len(value) > 1000:
            raise MatcherError(f"The regular expression of {name} is longer than 1000 characters.")
        try:
            _compiled(value)
        except re2.error as error:
            raise MatcherError(
                f"The regular expression of {name} is invalid: {_said(error)}."
            ) from error
    return Matcher(name, operator, value)


def _said(error: Exception) -> str:
    """Return RE2's error message, which may be bytes."""
    words = error.args[0] if error.args else ""
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """True when every matcher matches. An empty list matches nothing; a silence may not be empty either."""
    checked = [matcher.matches(labels) for matcher in matchers]
    return bool(checked) and all(checked)
