"""Checks templates of labels and annotations as Prometheus parses them, and renders them for a preview (pure).

Prometheus rejects a whole rule file for one template that it cannot parse. So only what this module
understands is accepted: pipelines of variables, strings, numbers and Prometheus's functions, and the
blocks if, with, range, else and end. Declarations and comments are rejected.
https://prometheus.io/docs/prometheus/latest/configuration/template_reference/
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from monitoring.rules.humanize import FUNCTIONS

VARIABLES = frozenset({"$labels", "$value", "$externalLabels", "$externalURL", "$"})
# Those of Prometheus 2.42 and of Go's text/template.
KNOWN_FUNCTIONS = frozenset(
    """query first label value strvalue args reReplaceAll safeHtml match title toUpper toLower graphLink tableLink
    sortByLabel stripPort humanize humanize1024 humanizeDuration humanizePercentage humanizeTimestamp pathPrefix
    externalURL parseDuration and or not len index slice print printf println html js urlquery call eq ne lt le gt
    ge""".split()  # noqa: SIM905 - read as a list of words
)
BLOCKS = frozenset({"if", "with", "range"})
MAX_DEPTH = 20
_END = re.compile(r"(?:(?<=[ \t\r\n])-)?\}\}")
# A quoted string in an action may contain braces, so actions are parsed token by token.
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<text>"(?:[^"\\\n]|\\["\\nrt])*"|`[^`]*`)
    |(?P<number>-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,15})?(?![0-9A-Za-z_.]))
    |(?P<variable>\$[A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*(?![.$"`]))
    |(?P<field>(?:\.[A-Za-z_][A-Za-z0-9_]*)+(?![.$"`])|\.(?=[ \t\r\n|)}]))
    |(?P<word>[A-Za-z][A-Za-z0-9]*(?![A-Za-z0-9_.$"`]))
    |(?P<mark>[|()])""",
    re.X | re.A,
)
_SIMPLE = re.compile(
    r"\{\{-?\s*(?P<what>\$labels\.(?P<label>\w+)|\$value)\s*(?:\|\s*(?P<function>\w+)\s*)?-?\}\}",
    re.A,
)


class TemplateError(ValueError):
    """Prometheus could not parse the template; the message says where, and what to write."""


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str


@dataclass(slots=True)
class _Block:
    word: str
    has_else: bool = False


def parse(written: str) -> None:
    """Check a template. Raises TemplateError."""
    position, blocks = 0, list[_Block]()
    while (start := written.find("{{", position)) >= 0:
        tokens, position = _action(written, start)
        _check_action(tokens, blocks)
    if blocks:
        raise TemplateError(f"{{{{ {blocks[-1].word} }}}} has no {{{{ end }}}}. Add it.")


def _action(written: str, start: int) -> tuple[list[Token], int]:
    """Return the tokens of the action at `start`, and the position after it."""
    position, tokens = start + 2, list[Token]()
    if re.match(r"-[ \t\r\n]", written[position : position + 2]):
        position += 1
    while not (end := _END.match(written, position)):
        found = _TOKEN.match(written, position)
        if found is None:
            shown = written[start : start + 60]
            raise TemplateError(
                f"{shown!r} cannot be read. Write {{{{ $labels.instance }}}}, {{{{ $value }}}} or"
                " {{ $value | humanize }}."
            )
        tokens.append(Token(str(found.lastgroup), found[0]))
        position = found.end()
    return tokens, end.end()


def _check_action(tokens: list[Token], blocks: list[_Block]) -> None:
    words = [token for token in tokens if token.kind != "space"]
    first = words[0].text if words else ""
    if first == "end" and len(words) == 1:
        if not blocks:
            raise TemplateError("{{ end }} closes no block. Remove it.")
        blocks.pop()
    elif first == "else":
        _check_else(tokens, len(words), blocks)
    elif first in BLOCKS:
        if len(blocks) >= MAX_DEPTH:
            raise TemplateError(f"Blocks are nested more than {MAX_DEPTH} deep.")
        blocks.append(_Block(first))
        _check_pipeline(_after(tokens))
    else:
        _check_pipeline(tokens)


def _check_else(tokens: list[Token], count: int, blocks: list[_Block]) -> None:
    if not blocks or blocks[-1].has_else:
        raise TemplateError("{{ else }} belongs to no {{ if }}. Remove it.")
    if count == 1:
        blocks[-1].has_else = True
        return
    rest = _after(tokens)
    following = next(token.text for token in rest if token.kind != "space")
    if following != "if" or blocks[-1].word != "if":
        raise TemplateError("Only if may follow else: {{ else if … }}.")
    _check_pipeline(_after(rest))


def _after(tokens: list[Token]) -> list[Token]:
    """Return what follows the first word, including the space before it."""
    first = next(n for n, token in enumerate(tokens) if token.kind != "space")
    return tokens[first + 1 :]


@dataclass(slots=True)
class _Command:
    """State while parsing a pipeline: the first token of this command, and whether it follows a pipe."""

    first: str = ""
    after_pipe: bool = False


def _check_pipeline(tokens: list[Token]) -> None:
    """Accept `operand`, `function operand …` and further `| function operand …`, with parentheses."""
    open_commands, before = [_Command()], "space"
    for token in tokens:
        command = open_commands[-1]
        if token.text == "(":
            _need(before in ("space", "(") and _takes(command), token)
            command.first = command.first or "("
            open_commands.append(_Command())
        elif token.text == ")":
            _need(bool(command.first) and len(open_commands) > 1, token)
            open_commands.pop()
        elif token.text == "|":
            _need(bool(command.first), token)
            open_commands[-1] = _Command(after_pipe=True)
        elif token.kind != "space":
            _need(before in ("space", "(", "|") and _takes(command, token.kind), token)
            _check_operand(token)
            command.first = command.first or token.kind
        before = token.text if token.kind == "mark" else token.kind
    _need(len(open_commands) == 1 and bool(open_commands[0].first), Token("space", ""))


def _takes(command: _Command, kind: str = "") -> bool:
    """True when an operand may come next: first a value or a function, then arguments of a function.

    After a pipe there must be a function; a function among arguments needs parentheses.
    """
    if not command.first:
        return kind == "word" or not command.after_pipe
    return command.first == "word" and kind != "word"


def _check_operand(token: Token) -> None:
    if token.kind == "word" and token.text not in KNOWN_FUNCTIONS:
        raise TemplateError(f"Prometheus has no function {token.text[:40]!r} in its templates.")
    if token.kind == "variable" and token.text.partition(".")[0] not in VARIABLES:
        raise TemplateError(
            f"{token.text[:40]!r} is not defined. There are $labels, $value, $externalLabels and $externalURL."
        )


def _need(condition: bool, token: Token) -> None:
    if not condition:
        near = f" near {token.text[:40]!r}" if token.text.strip() else ""
        raise TemplateError(
            f"An action cannot be read{near}. Write {{{{ $labels.instance }}}} or {{{{ $value | humanize }}}}."
        )


def render(written: str, labels: Mapping[str, str], value: str) -> str:
    """Return `written` with labels and value filled in; parts that only Prometheus can render are left as they are."""

    def put(found: re.Match[str]) -> str:
        text = value if found["what"] == "$value" else labels.get(found["label"] or "", "")
        function = FUNCTIONS.get(found["function"] or "")
        if found["function"] and function is None:
            return found[0]
        return function(text) if function else text

    return _SIMPLE.sub(put, written)


def is_rendered(written: str) -> bool:
    """True when a preview can show the text in full."""
    return "{{" not in _SIMPLE.sub("", written)
