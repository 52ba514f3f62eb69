"""Checks the Prometheus and Alertmanager files with promtool and amtool, where this machine has them.

Both sets: those of `manage.py up` and those that compose.yml mounts. The rule files are the same.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DOCKER = Path(__file__).resolve().parent
# What is beside the configuration at work: secrets, and the targets of the containers.
SECRETS = ("prometheus/secrets/metrics_token", "alertmanager/secrets/portal_token")
PROMETHEUS = ("prometheus.yml", "compose.yml")


def checked(tool: str, *words: str) -> bool:
    """Run `tool`, and show what it says only when it objects."""
    if shutil.which(tool) is None:
        print(f"{tool} is not on this machine; its check is skipped")
        return True
    result = subprocess.run([tool, *words], text=True, capture_output=True, check=False)
    if result.returncode:
        print(result.stdout, result.stderr, sep="", file=sys.stderr)
    return result.returncode == 0


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("prometheus", "alertmanager"):
            shutil.copytree(DOCKER / part, folder / part)
        for secret in SECRETS:
            (folder / secret).parent.mkdir()
            (folder / secret).touch()
        good = [
            checked("promtool", "check", "config", str(folder / "prometheus" / file))
            for file in PROMETHEUS
        ]
        configuration = folder / "alertmanager" / "alertmanager.yml"
        good.append(checked("amtool", "check-config", str(configuration)))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
