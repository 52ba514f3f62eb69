"""What a run of `manage.py up` chose, so that a command in another terminal sees the same portal."""

import json
from collections.abc import Mapping
from pathlib import Path

NAMES = ("PORTAL_URL", "PROMETHEUS_URL", "ALERTMANAGER_URL", "PORTAL_EMBEDDED")


def _file(var: Path) -> Path:
    return var / "chosen.json"


def remember(var: Path, environment: Mapping[str, str]) -> None:
    """Keep those of NAMES that are set, until the next run chooses again."""
    path = _file(var)
    path.touch(mode=0o600)
    values = {name: environment[name] for name in NAMES if environment.get(name)}
    path.write_text(json.dumps(values, indent=1) + "\n")


def recalled(var: Path) -> dict[str, str]:
    """Return what the last run chose; empty before the first, or when the file was damaged."""
    try:
        stored = json.loads(_file(var).read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(stored, dict):
        return {}
    return {name: stored[name] for name in NAMES if isinstance(stored.get(name), str)}
