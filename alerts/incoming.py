"""Copies episodes into a temporary table, from which they are merged.

The table exists as long as the connection, and is emptied after each transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection

_encoder = msgspec.json.Encoder()
INCOMING = """
CREATE TEMPORARY TABLE IF NOT EXISTS alerts_incoming (
    id bigint, fingerprint text, alertname text, severity text, service_id bigint, state text,
    labels jsonb, annotations jsonb, receivers text[], generator_url text, content_hash bytea,
    starts_at timestamptz, silenced_by text[], inhibited_by text[],
    refreshed_at timestamptz, expires_at timestamptz, ends_at timestamptz
) ON COMMIT DELETE ROWS
"""
_INCOMING_COLUMNS = (
    "id, fingerprint, alertname, severity, service_id, state, labels, annotations, receivers, generator_url,"
    " content_hash, starts_at, silenced_by, inhibited_by, refreshed_at, expires_at, ends_at"
)


# Numbers are sent as numbers, everything else as text that PostgreSQL converts to the column's type.
_COPY_TYPES = ["int8", "text", "text", "text", "int8", *["text"] * 12]


@dataclass(frozen=True, slots=True)
class Row:
    """An episode that is about to be written; `id` is None for a new one."""

    id: int | None
    fingerprint: str
    alertname: str
    severity: str
    service_id: int | None
    state: str
    labels: dict[str, str]
    annotations: dict[str, str]
    receivers: list[str]
    generator_url: str
    content_hash: bytes
    starts_at: datetime
    silenced_by: Sequence[str] = ()
    inhibited_by: Sequence[str] = ()
    refreshed_at: datetime | None = None
    expires_at: datetime | None = None
    ends_at: datetime | None = None

    def copied(self) -> tuple[Any, ...]:
        """Return the columns in the order of the COPY, in PostgreSQL's text format.

        Text, because adapting objects took half of the time of a large batch.
        """
        return (
            self.id,
            self.fingerprint,
            self.alertname,
            self.severity,
            self.service_id,
            self.state,
            _json(self.labels),
            _json(self.annotations),
            _array(self.receivers),
            self.generator_url,
            f"\\x{self.content_hash.hex()}",
            self.starts_at.isoformat(),
            _array(self.silenced_by),
            _array(self.inhibited_by),
            self.refreshed_at and self.refreshed_at.isoformat(),
            self.expires_at and self.expires_at.isoformat(),
            self.ends_at and self.ends_at.isoformat(),
        )


def _json(value: dict[str, str]) -> str:
    return _encoder.encode(value).decode()


def _array(values: Sequence[str]) -> str:
    """Return the literal of a text[]."""
    return "{" + ",".join([_quoted(value) for value in values]) + "}" if values else "{}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def fill(rows: Iterable[Row]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(INCOMING)
        with cursor.copy(f"COPY alerts_incoming ({_INCOMING_COLUMNS}) FROM STDIN") as copy:
            copy.set_types(_COPY_TYPES)
            for row in rows:
                copy.write_row(row.copied())
