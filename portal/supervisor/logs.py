"""Keeps the log of each part from growing for ever: rotated once, at the start, above a size."""

from pathlib import Path

LIMIT_BYTES = 10 * 1024 * 1024


def rotate(folder: Path, limit: int = LIMIT_BYTES) -> list[str]:
    """Rename logs above `limit` bytes to `*.log.1`; return the names of those."""
    rotated = []
    for log in sorted(folder.glob("*.log")):
        if log.stat().st_size > limit:
            log.replace(log.with_name(f"{log.name}.1"))
            rotated.append(log.name)
    return rotated
