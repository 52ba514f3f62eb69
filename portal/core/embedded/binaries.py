"""Finds Prometheus, Alertmanager and node-exporter, under upstream's names or Debian's."""

import shutil
from pathlib import Path

# program: (names on PATH in order of preference, Debian package)
PROGRAMS: dict[str, tuple[tuple[str, ...], str]] = {
    "prometheus": (("prometheus",), "prometheus"),
    "promtool": (("promtool",), "prometheus"),
    "alertmanager": (("alertmanager", "prometheus-alertmanager"), "prometheus-alertmanager"),
    "amtool": (("amtool",), "prometheus-alertmanager"),
    "node_exporter": (("node_exporter", "prometheus-node-exporter"), "prometheus-node-exporter"),
}


def unpacked_root(var: Path) -> Path:
    """Return the folder into which Debian packages are unpacked when we are not root."""
    return var / "debian" / "root"


def find(program: str, var: Path) -> Path | None:
    """Return the program from PATH, else from the unpacked packages, else None."""
    names, _package = PROGRAMS[program]
    for name in names:
        found = shutil.which(name)
        if found:
            return Path(found)
    for name in names:
        unpacked = unpacked_root(var) / "usr" / "bin" / name
        if unpacked.exists():
            return unpacked
    return None
