"""Encodes the position where a page of lines ended, for use in a link (pure)."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

TIED_IDS = 100


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended: time and number of its last line, and the ids already shown at that position.

    `_doc` is not a tie-break across shards and changes with merges, and sorting by `_id` may be forbidden.
    Lines of two shards may have the same number, so that those already shown must be excluded by id.
    """

    sort: int
    tie: int = 0
    ids: tuple[str, ...] = ()

    def written(self) -> str:
        written = json.dumps([self.sort, self.tie, *self.ids])
        return base64.urlsafe_b64encode(written.encode()).decode()

    @classmethod
    def read(cls, written: str) -> "Cursor":
        """Decode a cursor. Raises ValueError when it is invalid."""
        try:
            decoded = json.loads(base64.urlsafe_b64decode(written.encode()))
        except (binascii.Error, RecursionError) as error:
            raise ValueError("not base64") from error
        if not isinstance(decoded, list) or len(decoded) < 2:
            raise ValueError("no cursor")
        sort, tie, *ids = decoded
        if not (_is_number(sort) and _is_number(tie) and all(_is_id(each) for each in ids)):
            raise ValueError("no cursor")
        if len(ids) > TIED_IDS:
            raise ValueError("no cursor")
        return cls(sort, tie, tuple(ids))


def _is_number(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**62


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 512
