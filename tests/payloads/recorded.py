"""Replies that real servers gave, by the name of their file."""

from pathlib import Path

FOLDER = Path(__file__).parent


def body(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def header(name: str, wanted: str) -> str:
    """Return one header of a recorded head."""
    lines = (line.partition(": ") for line in (FOLDER / name).read_text().splitlines())
    return next(value for key, _, value in lines if key.lower() == wanted)
