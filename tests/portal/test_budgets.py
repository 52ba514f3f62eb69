"""Sizes that keep the code readable: what grows beyond them is split along an idea, not by its length."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.core.embedded.places import BASE_DIR

OURS = ("portal", "audit", "alerts", "monitoring", "security")
MODULE, FUNCTION, MODEL_ADMIN, TASK = 375, 45, 50, 10
Sizes = Iterator[tuple[str, int]]


def modules() -> list[tuple[str, str]]:
    files = (path for folder in OURS for path in sorted((BASE_DIR / folder).rglob("*.py")))
    return [
        (path.relative_to(BASE_DIR).as_posix(), path.read_text())
        for path in files
        if "migrations" not in path.parts
    ]


def lines(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def words(nodes: list[ast.expr]) -> str:
    return " ".join(map(ast.unparse, nodes))


def functions(text: str, decorated: str = "") -> Sizes:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (
            decorated in words(node.decorator_list)
        ):
            yield node.name, lines(node)


def model_admins(text: str) -> Sizes:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and (
            "admin.register(" in words(node.decorator_list) or "ModelAdmin" in words(node.bases)
        ):
            yield node.name, lines(node)


def over(limit: int, sizes: dict[str, int]) -> dict[str, int]:
    return {name: size for name, size in sizes.items() if size > limit}


@pytest.fixture(scope="module")
def code() -> list[tuple[str, str]]:
    return modules()


def test_no_module_is_longer_than_can_be_held_in_the_head(code: list[tuple[str, str]]) -> None:
    sizes = {path: len(text.splitlines()) for path, text in code}
    assert len(sizes) > 300
    assert over(MODULE, sizes) == {}


def test_no_function_is_longer_than_a_screen(code: list[tuple[str, str]]) -> None:
    sizes = {f"{path}:{name}": size for path, text in code for name, size in functions(text)}
    assert len(sizes) > 2000
    assert over(FUNCTION, sizes) == {}


def test_no_model_admin_does_the_work_of_others(code: list[tuple[str, str]]) -> None:
    sizes = {f"{path}:{name}": size for path, text in code for name, size in model_admins(text)}
    assert len(sizes) > 25
    assert over(MODEL_ADMIN, sizes) == {}


def test_no_task_is_more_than_a_call(code: list[tuple[str, str]]) -> None:
    sizes = {
        f"{path}:{name}": size
        for path, text in code
        if Path(path).name == "tasks.py"
        for name, size in functions(text, "shared_task")
    }
    assert len(sizes) > 15
    assert over(TASK, sizes) == {}
