"""Stores the variables chosen by a run of `manage.py up`, so that commands in other terminals use the same ones."""

import json
from collections.abc import Mapping
from pathlib import Path

NAMES = ("PORTAL_URL", "PROMETHEUS_URL", "ALERTMANAGER_URL", "PORTAL_EMBEDDED")


def _file(var: Path) -> Path:
    return var / "chosen.json"


def save(var: Path, environment: Mapping[str, str]) -> None:
    """Store the variables of NAMES that are set, replacing those of an earlier run."""
    path = _file(var)
    path.touch(mode=0o600)
    values = {name: environment[name] for name in NAMES if environment.get(name)}
    path.write_text(json.dumps(values, indent=1) + "\n")


def load(var: Path) -> dict[str, str]:
    """Return the variables of the last run; empty before the first, or when the file is damaged."""
    try:
        stored = json.loads(_file(var).read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(stored, dict):
        return {}
    return {name: stored[name] for name in NAMES if isinstance(stored.get(name), str)}
