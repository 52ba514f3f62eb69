"""The documents keep up with the code: endpoints, audit actions, scopes, links."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from drf_spectacular.generators import SchemaGenerator

from alerts.models import TransitionKind
from audit.codes import CODES
from audit.receivers import GRANTED, OBJECTS, REVOKED, VERBS
from monitoring.errors.models import IssueTransitionKind
from monitoring.errors.services import STATUS_OF
from portal.core.embedded.places import BASE_DIR
from security.models import Scope

PACKAGES = ("portal", "audit", "alerts", "monitoring", "security")
# First arguments of audit.record that are no literals, and what they come to.
COMPUTED = {
    ("alerts/services.py", "f'alert.{kind}'"),
    ("monitoring/errors/services.py", "f'error.{kind}'"),
    ("audit/receivers.py", "_action(model, verb, diff)"),
}
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", *(
    str(path.relative_to(BASE_DIR)) for path in sorted((BASE_DIR / "docs").glob("*.md"))
))  # fmt: skip
# A screenshot is made by a browser, which not every checkout had.
MADE_BY_A_BROWSER = "docs/images/"


def text(name: str) -> str:
    return (BASE_DIR / name).read_text()


def code_words(name: str) -> set[str]:
    """Return what a document sets as code, each whole."""
    return set(re.findall(r"`([^`\n]+)`", text(name)))


def sources() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((BASE_DIR / package).rglob("*.py")):
            yield str(path.relative_to(BASE_DIR)), ast.parse(path.read_text())


def calls(tree: ast.Module, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            if (isinstance(called, ast.Attribute) and called.attr == name) or (
                isinstance(called, ast.Name) and called.id == name
            ):
                yield node


def possible(node: ast.expr, tree: ast.Module) -> Iterator[ast.expr]:
    """Return the expressions a value may come from: both sides of a choice, all assignments to a name."""
    if isinstance(node, ast.IfExp):
        yield from possible(node.body, tree)
        yield from possible(node.orelse, tree)
    elif isinstance(node, ast.Name):
        for other in ast.walk(tree):
            if isinstance(other, ast.Assign) and ast.unparse(other.targets[0]) == node.id:
                yield from possible(other.value, tree)
    else:
        yield node


def recorded() -> tuple[set[str], set[tuple[str, str]]]:
    """Return the literal actions passed to `record`, and where one is computed."""
    literal: set[str] = set()
    computed: set[tuple[str, str]] = set()
    for file, tree in sources():
        for call in (*calls(tree, "record"), *calls(tree, "record_each")):
            found = list(possible(call.args[0], tree))
            assert found, f"{file}:{call.lineno} records an action this test cannot follow"
            literal |= {str(node.value) for node in found if isinstance(node, ast.Constant)}
            computed |= {
                (file, ast.unparse(node)) for node in found if not isinstance(node, ast.Constant)
            }
    return literal, computed


def actions_of_people() -> set[str]:
    """Return the kinds of transition that alerts.services logs, as actions."""
    tree = ast.parse(text("alerts/services.py"))
    names = {
        call.args[1].attr
        for name in ("_log", "_change")
        for call in calls(tree, name)
        if isinstance(call.args[1], ast.Attribute)
    }
    return {f"alert.{TransitionKind[name].value}" for name in names}


def actions_of_errors() -> set[str]:
    return {
        f"error.{kind}"
        for kind in (*STATUS_OF, IssueTransitionKind.ASSIGNED, IssueTransitionKind.UNASSIGNED)
    }


def actions_of_diffs() -> set[str]:
    objects = {"object", *OBJECTS.values()}
    return {f"{thing}.{verb}" for thing in objects for verb in VERBS.values()} | {GRANTED, REVOKED}


def links(name: str) -> list[str]:
    """Return the relative targets of a document's links, without their anchors."""
    found = re.findall(r"\]\(([^)\s]+)\)", text(name))
    return [
        target.partition("#")[0] for target in found if "://" not in target and target[0] != "#"
    ]


def test_every_endpoint_of_the_schema_is_in_the_api_document() -> None:
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]  # type: ignore[no-untyped-call]
    assert len(paths) > 20
    assert sorted(set(paths) - code_words("docs/api.md")) == []


def test_every_verb_of_an_endpoint_stands_in_its_line() -> None:
    rows = dict(re.findall(r"^\| `(/api/v1/[^`]+)` \| ([A-Z, ]+) \|", text("docs/api.md"), re.M))
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]  # type: ignore[no-untyped-call]
    known = {path: {verb.upper() for verb in verbs} for path, verbs in paths.items()}
    assert {path: set(verbs.split(", ")) for path, verbs in rows.items()} == known


def test_every_recorded_action_is_in_the_audit_document() -> None:
    wanted = known_actions()
    assert len(wanted) > 40
    assert sorted(wanted - code_words("docs/audit.md")) == []


def known_actions() -> set[str]:
    return recorded()[0] | actions_of_people() | actions_of_errors() | actions_of_diffs()


def test_every_recorded_action_has_a_code() -> None:
    assert sorted(known_actions() ^ set(CODES)) == []


def test_the_audit_document_gives_each_action_its_code() -> None:
    """A code is for ever: whoever changes one has to change it here too."""
    rows = re.findall(
        r"^\| ([0-9, ]+) \| (`[^|]+`) \|", text("docs/audit.md").partition("## Actions")[2], re.M
    )
    said: dict[str, str] = {}
    for codes, actions in rows:
        said |= dict(zip(re.findall(r"`([^`]+)`", actions), codes.split(", "), strict=True))
    assert said == {action: str(number) for action, number in CODES.items()}


def test_the_audit_document_names_no_action_that_nothing_records() -> None:
    table = text("docs/audit.md").partition("## Actions")[2]
    named = set(re.findall(r"`([a-z]+\.[a-z_]+)`", table))
    assert sorted(named - known_actions()) == []


def test_actions_are_computed_only_where_this_test_knows_it() -> None:
    assert recorded()[1] == COMPUTED


def test_every_scope_is_in_the_api_document() -> None:
    assert sorted(set(Scope.values) - code_words("docs/api.md")) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_to_files(name: str) -> None:
    folder = Path(name).parent
    broken = [
        target
        for target in links(name)
        if not (BASE_DIR / folder / target).exists()
        and not str(folder / target).startswith(MADE_BY_A_BROWSER)
    ]
    assert broken == []
