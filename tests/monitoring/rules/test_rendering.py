"""The rule file: whatever rows hold, YAML readers get it back and promtool accepts it."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.rules.grammar import (
    GrammarError,
    check_annotations,
    check_labels,
    check_line,
    check_text,
    duration_seconds,
)
from monitoring.rules.rendering import Exported, rule_file
from tests.monitoring.rules.test_templates import GOOD
from tests.stack import program

ANY_TEXT = st.text(max_size=60) | st.sampled_from(
    ["yes", "null", "~", "0x1f", "1e3", "- a", "# no", "a: b", "&a *a", "!!int 3", "|", ">-", "%TAG",
     "\ufeff", "\u2028", "\x85", "\x7f", "{{ $labels.x }}", "\U0001f600", "\ufffe", "'", '"', "\\", "...", "---", "<<"]
)  # fmt: skip
LABEL = st.from_regex(r"[a-z_][a-z0-9_]{0,9}", fullmatch=True)
RULES = st.lists(
    st.builds(
        Exported, group=ANY_TEXT, alert=ANY_TEXT, expr=ANY_TEXT, for_duration=st.sampled_from(["", "5m", "1h30m"]),
        keep_firing_for=st.sampled_from(["", "30s"]), labels=st.dictionaries(LABEL, ANY_TEXT, max_size=3),
        annotations=st.dictionaries(LABEL, ANY_TEXT, max_size=3),
    ),
    max_size=5,
)  # fmt: skip


def read(text: str) -> list[dict[str, Any]]:
    return [
        {"group": group["name"], **rule}
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
    ]


def plain(rule: Exported) -> dict[str, Any]:
    facts = {"group": rule.group, "alert": rule.alert, "expr": rule.expr, "for": rule.for_duration,
             "keep_firing_for": rule.keep_firing_for, "labels": dict(rule.labels),
             "annotations": dict(rule.annotations)}  # fmt: skip
    return {
        name: value for name, value in facts.items() if value or name in ("group", "alert", "expr")
    }


@given(RULES, st.lists(ANY_TEXT, max_size=2))
def test_a_yaml_reader_gets_back_what_was_written(rules: list[Exported], out: list[str]) -> None:
    text = rule_file(rules, left_out=out)
    wanted = sorted(map(plain, rules), key=lambda rule: str(rule["group"]))
    assert read(text) == wanted
    assert text.isascii() or text.replace("\n", "").isprintable()


def test_rules_of_a_group_keep_their_order() -> None:
    rules = [Exported(g, a, "up") for g, a in (("b", "2"), ("a", "1"), ("b", "1"))]
    assert [(r["group"], r["alert"]) for r in read(rule_file(rules))] == [
        ("a", "1"),
        ("b", "2"),
        ("b", "1"),
    ]


def test_no_rules_are_an_empty_list() -> None:
    assert yaml.safe_load(rule_file([])) == {"groups": []}


def _accepted(kind: Any, written: Any) -> bool:
    try:
        kind(written)
    except GrammarError:
        return False
    return True


def promtool(text: str, folder: Path) -> None:
    """Fail with promtool's words unless it accepts the file."""
    tool = program("promtool")
    (folder / "rules.yml").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [tool, "check", "rules", str(folder / "rules.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr + text


@pytest.mark.stack
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT, LABEL), max_size=8))
def test_promtool_accepts_whatever_the_grammar_accepts(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str, str]]
) -> None:
    rules = [
        Exported(group, alert, "up == 0", labels={label: text}, annotations={label: text})
        for group, alert, text, label in rows
        if _accepted(check_line, group)
        and _accepted(check_line, alert)
        and _accepted(check_labels, {label: text})
        and _accepted(check_annotations, {label: text})
    ]
    promtool(rule_file(rules), tmp_path_factory.mktemp("rules"))


_PIECES = st.sampled_from(
    ["{{", "}}", "{{ ", " }}", "$value", "$labels.a", "|", " | ", "humanize", "(", ")", "if ", "else", "end", '"x"',
     "`", "-", " ", "1.5", "query", ".", "$", "range ", "\n", "print "]
)  # fmt: skip


@pytest.mark.stack
@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(_PIECES, max_size=14).map("".join), min_size=30, max_size=60))
def test_promtool_parses_every_template_that_is_let_through(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    good = [text for text in (*texts, *GOOD) if _accepted(lambda t: check_text("x", t), text)]
    rules = [Exported("g", f"R{n}", "up", annotations={"x": t}) for n, t in enumerate(good)]
    promtool(rule_file(rules), tmp_path_factory.mktemp("templates"))


@pytest.mark.parametrize(
    "written, seconds",
    [("0", 0), ("5m", 300), ("1h30m", 5400), ("1d", 86400), ("250ms", 0.25), ("1w2d", 777600)],
)
def test_durations_are_read_as_prometheus_does(written: str, seconds: float) -> None:
    assert duration_seconds(written) == seconds


@pytest.mark.parametrize(
    "written",
    ["", "5", "m", "-5m", "5 m", "1m1h", "1.5h", "5M", "2y", "9" * 50 + "s", "٣m", "5m\n"],
)
def test_what_is_no_duration_is_refused(written: str) -> None:
    with pytest.raises(GrammarError, match="Write"):
        duration_seconds(written)


@pytest.mark.parametrize(
    "labels",
    [[], "x", {"1a": "x"}, {"a-b": "x"}, {"__name__": "x"}, {"ä": "x"}, {"severity": "page"}, {"alertname": "x"},
     {"a": 3}, {"a": None}, {"a": "x" * 5000}, {"a": "\x00"}, {"a": "\ud800"}, {"a": "{{ x }}"},
     {f"l{n}": "" for n in range(40)}, {"": "x"}, {"a\n": "x"}],
)  # fmt: skip
def test_labels_prometheus_would_refuse_are_refused(labels: Any) -> None:
    with pytest.raises(GrammarError):
        check_labels(labels)
