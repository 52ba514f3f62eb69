"""Renders rules as a Prometheus rule file (pure): YAML in which every string is double-quoted.

We write it without a library, in thirty lines: the structure is fixed, and with every string quoted and
all non-printable characters escaped, a YAML parser has nothing to interpret.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
HEADER = "# Written by the DevOps Portal. Edit the rules there: the next export replaces this file."


@dataclass(frozen=True, slots=True)
class Exported:
    """One alerting rule with the fields of a rule file; empty durations are left out."""

    group: str
    alert: str
    expr: str
    for_duration: str = ""
    keep_firing_for: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


def quoted(text: str) -> str:
    """Return `text` as a double-quoted YAML scalar on one line."""
    return '"' + "".join(_escaped(c) for c in text) + '"'


def _escaped(c: str) -> str:
    if c in _ESCAPES:
        return _ESCAPES[c]
    # Escape invisible characters, such as the byte order mark and those that change the direction of text.
    if c.isprintable():
        return c
    code = ord(c)
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )


def rule_file(rules: Iterable[Exported], *, left_out: Iterable[str] = ()) -> str:
    """Return the file: groups ordered by name, rules in the given order."""
    lines = [HEADER, *(f"# Left out: {quoted(words)}" for words in left_out)]
    ordered = sorted(rules, key=lambda rule: rule.group)  # stable: keeps the order within a group
    lines.append("groups:" if ordered else "groups: []")
    for group, members in groupby(ordered, key=lambda rule: rule.group):
        lines += [f"  - name: {quoted(group)}", "    rules:"]
        for rule in members:
            lines += _rule_lines(rule)
    return "\n".join(lines) + "\n"


def _rule_lines(rule: Exported) -> list[str]:
    lines = [f"      - alert: {quoted(rule.alert)}", f"        expr: {quoted(rule.expr)}"]
    if rule.for_duration:
        lines.append(f"        for: {rule.for_duration}")
    if rule.keep_firing_for:
        lines.append(f"        keep_firing_for: {rule.keep_firing_for}")
    for name, mapping in (("labels", rule.labels), ("annotations", rule.annotations)):
        if mapping:
            lines.append(f"        {name}:")
            lines += [f"          {quoted(key)}: {quoted(mapping[key])}" for key in sorted(mapping)]
    return lines
