"""The files of docker/, read the way the programs read them."""

import importlib.util
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from portal.core.embedded.places import BASE_DIR

DOCKER = BASE_DIR / "docker"
Service = dict[str, Any]


def filled_in(text: str, environment: dict[str, str]) -> str:
    """Do Compose's substitution: `${NAME:-default}` and `$$`; any other dollar is an error there."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        assert match["name"], (
            f"a lone dollar at …{match.string[match.start() : match.start() + 30]}"
        )
        return environment.get(match["name"]) or match["default"] or ""

    return re.sub(r"\$\$|\$\{(?P<name>[A-Z_]+)(?::-(?P<default>[^}]*))?\}|\$", value, text)


def resolved(value: Any, environment: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: resolved(one, environment) for name, one in value.items()}
    if isinstance(value, list):
        return [resolved(one, environment) for one in value]
    return filled_in(value, environment) if isinstance(value, str) else value


def compose(**environment: str) -> dict[str, Any]:
    """Return compose.yml with anchors and variables resolved, as `docker compose config` would."""
    document: dict[str, Any] = resolved(yaml_of("compose.yml"), environment)
    return document


def services() -> dict[str, Service]:
    found: dict[str, Service] = compose()["services"]
    return found


def profiles(service: Service) -> set[str]:
    return set(service.get("profiles", ()))


def mounts(service: Service) -> list[tuple[str, str, bool]]:
    """Return (source, target, writable) of each volume; a path begins with `.` or `/`."""
    parts = [volume.split(":") for volume in service.get("volumes", ())]
    return [(part[0], part[1], part[2:] != ["ro"]) for part in parts]


def yaml_of(path: str) -> Any:
    return yaml.safe_load((DOCKER / path).read_text())


def script(name: str) -> ModuleType:
    """Import a script of docker/, which is a folder of files and no package."""
    specification = importlib.util.spec_from_file_location(name, DOCKER / f"{name}.py")
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


def clean_environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], **more}


def is_path(source: str) -> bool:
    return source.startswith((".", "/"))


def repository_file(source: str) -> Path:
    return (DOCKER / source).resolve()
