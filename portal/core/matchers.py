"""Label matchers with Alertmanager's four operators (pure).

Syntax as in Alertmanager's `matchers:`; regular expressions are anchored at both ends.
https://prometheus.io/docs/alerting/latest/configuration/#matcher
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

OPERATORS = ("=~", "!~", "!=", "=")
_SYNTAX = re.compile(
    r'^\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^"\s,]*))\s*$', re.S
)
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


class MatcherError(ValueError):
    """A matcher cannot be read; the message quotes it and says why."""


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(f"^(?:{pattern})$", re.S)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label; a label that is absent counts as empty."""

    name: str
    operator: str
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        actual = labels.get(self.name, "")
        if self.operator in ("=", "!="):
            return (actual == self.value) == (self.operator == "=")
        return bool(_compiled(self.value).match(actual)) == (self.operator == "=~")

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{self.operator}"{escaped}"'


def parse(written: str) -> Matcher:
    """Read one matcher such as `severity=~"critical|page"`. Raises MatcherError."""
    found = _SYNTAX.match(written)
    if not found:
        raise MatcherError(
            f'{written!r} is no matcher. Write it as name="value", with =, !=, =~ or !~.'
        )
    name, operator, quoted, bare = found.groups()
    value = (
        re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), quoted, flags=re.S)
        if quoted is not None
        else bare
    )
    return build(name, operator, value)


def build(name: str, operator: str, value: str) -> Matcher:
    """Return a checked matcher. Raises MatcherError when the regular expression is wrong."""
    if operator not in OPERATORS:
        raise MatcherError(f"{operator!r} is no operator; use one of =, !=, =~, !~.")
    if operator in ("=~", "!~"):
        if len(value) > 1000:
            raise MatcherError(f"The regular expression of {name} is longer than 1000 characters.")
        try:
            _compiled(value)
        except re.error as error:
            raise MatcherError(
                f"The regular expression of {name} cannot be read: {error}."
            ) from error
    return Matcher(name, operator, value)


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """True when every matcher holds; an empty list matches nothing, as a silence would refuse it."""
    checked = [matcher.matches(labels) for matcher in matchers]
    return bool(checked) and all(checked)
