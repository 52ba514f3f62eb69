"""The documentation cannot lag: what the code knows is named in it."""

import re
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands

from portal.celery import TICKS
from portal.core.embedded.places import BASE_DIR
from portal.core.validators import OPTIONS

OURS = ("portal", "monitoring", "alerts", "audit", "security", "docker")
READ = re.compile(
    r"""(?:env\.|return )(?:text|slug|label_names|boolean|integer|choice|dsn|server|words|networks|urls?|secret"""
    r"""|service_urls|database)\(\s*"([A-Z_]+)"|"""
    r"""environ(?:ment)?(?:\.get\(|\.pop\(|\[)\s*"([A-Z][A-Z_]+)\""""
)
METRIC = re.compile(
    r'"(portal_(?:upstream|alerts|hook|service|worker|database|build|audit|notification|log|api|flags|blocks|detector'
    r'|siem|checks?_|gate_(?:refused|blind))[a-z_]*)"'
)
OPTION = re.compile(r'upstream\.option\("([a-z_]+)"')
CHECK = re.compile(r'id="(portal\.[EW]\d+)"')
# Known to every program, or set by one of ours for another of ours and named where that is described.
OF_OTHERS = {"APT_CONFIG", "DJANGO_SETTINGS_MODULE", "PYTHONPATH"}


def text(name: str) -> str:
    return (BASE_DIR / "docs" / name).read_text()


def sources() -> list[tuple[Path, str]]:
    files = [path for folder in OURS for path in (BASE_DIR / folder).rglob("*.py")]
    return [(path, path.read_text()) for path in files if "migrations" not in path.parts]


def found(pattern: re.Pattern[str]) -> set[str]:
    return {
        word
        for _path, code in sources()
        for match in pattern.finditer(code)
        for word in match.groups()
        if word
    }


def test_the_patterns_find_something() -> None:
    assert {"SECRET_KEY", "DATABASE_URL", "PORTAL_VAR", "PORT"} <= found(READ)
    assert {"portal_upstream_up", "portal_alerts"} <= found(METRIC)
    assert {"portal.E001", "portal.W001"} <= found(CHECK)


def test_every_variable_is_in_the_configuration_reference() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)`", text("configuration.md"), re.M))
    # Each can also be given as a file.
    read = {n if n in documented else n.removesuffix("_FILE") for n in found(READ)}
    assert read - OF_OTHERS - documented == set()
    assert documented - read - {"PORTAL_DEBIAN_VAR"} == set()


def test_every_command_is_in_the_operations_guide() -> None:
    commands = {name for name, app in get_commands().items() if app in OURS}
    assert commands
    documented = set(re.findall(r"`manage\.py ([a-z_]+)", text("operations.md")))
    assert commands - documented == set()


@pytest.mark.parametrize(
    "kind, names",
    [("tick", set(TICKS)), ("metric", found(METRIC)), ("check", found(CHECK))],
)
def test_everything_that_can_be_seen_in_operation_is_explained(kind: str, names: set[str]) -> None:
    assert {name for name in names if f"`{name}`" not in text("operations.md")} == set(), kind


def test_every_option_of_an_upstream_is_explained() -> None:
    section = text("dashboard.md").partition("## Upstreams")[2].partition("\n## ")[0]
    assert {name for name in OPTIONS if f"`{name}`" not in section} == set()
    read = {name for _path, code in sources() for name in OPTION.findall(code)}
    assert read == set(OPTIONS)


def rules() -> list[dict[str, str]]:
    found = []
    for path in sorted((BASE_DIR / "docker" / "prometheus" / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            found += group["rules"]
    return found


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_rule_has_a_severity_words_and_a_runbook(
    rule: dict[str, dict[str, str]],
) -> None:
    assert rule["labels"]["severity"] in ("none", "info", "warning", "critical")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"].endswith(".")
    page, _, anchor = rule["annotations"]["runbook_url"].removeprefix("docs/").partition("#")
    assert re.search(rf"^#+ {anchor}$", text(page), re.M | re.I)


def test_links_between_the_pages_lead_somewhere() -> None:
    missing = [
        f"{page.name}: {target}"
        for page in (BASE_DIR / "docs").glob("*.md")
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert missing == []
