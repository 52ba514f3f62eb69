"""Keeps the parts' logs from growing without limit: rotates large ones, once, at the start."""

from pathlib import Path

LIMIT_BYTES = 10 * 1024 * 1024


def rotate(folder: Path, limit: int = LIMIT_BYTES) -> list[str]:
    """Rename logs larger than `limit` bytes to `*.log.1`; return their names."""
    rotated = []
    for log in sorted(folder.glob("*.log")):
        if log.stat().st_size > limit:
            log.replace(log.with_name(f"{log.name}.1"))
            rotated.append(log.name)
    return rotated
