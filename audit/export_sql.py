"""Builds the COPY statement of an export, with which PostgreSQL itself writes formula-safe CSV.

The rule is that of `portal.core.csv.cell`, from the same table of first characters.
"""

from collections.abc import Mapping
from typing import Any

from audit import filters
from portal.core.csv import DANGEROUS

COLUMNS: tuple[str, ...] = (
    "uid", "occurred_at", "recorded_at", "action", "code", "outcome", "severity", "reason", "actor_type", "actor_id",
    "actor_name", "actor_roles", "impersonator_id", "impersonator_name", "auth_method", "source_ip", "geo_country",
    "asn", "user_agent", "http_method", "url_path", "http_status", "request_id", "trace_id", "target_type",
    "target_id", "target_name", "targets", "changes", "data",
)  # fmt: skip
# Free text, which could be a formula. The other columns are numbers, times, addresses, fixed words, JSON,
# which begins with a bracket, and codes, which begin with a letter or a digit.
TEXTS = frozenset(
    ("reason", "actor_id", "actor_name", "impersonator_id", "impersonator_name", "auth_method", "user_agent",
     "http_method", "url_path", "request_id", "target_type", "target_id", "target_name")
)  # fmt: skip
MOMENTS = frozenset(("occurred_at", "recorded_at"))
# Text in PostgreSQL cannot contain NUL.
FIRST = ", ".join(str(ord(char)) for char in DANGEROUS if char != "\x00")


def neutral(column: str) -> str:
    """Return the SQL for a text cell that no spreadsheet takes for a formula."""
    # Looks up the code of the first character in a hashed list: comparing texts takes twice as long, and a
    # regular expression ten times. The code is 0 for an empty text, and NULL for NULL.
    return (
        f"CASE WHEN ascii({column}) = ANY (ARRAY[{FIRST}]) THEN '''' || {column} ELSE {column} END"
    )


def _cell(column: str) -> str:
    if column in TEXTS:
        return f"{neutral(column)} AS {column}"
    if column in MOMENTS:  # RFC 3339; to_char takes three times as long
        return f"replace(({column} AT TIME ZONE 'UTC')::text, ' ', 'T') || 'Z' AS {column}"
    if column == "actor_roles":
        return "to_json(actor_roles) AS actor_roles"
    return column


def copy_statement(query: Mapping[str, str]) -> tuple[str, tuple[Any, ...]]:
    """Return the statement, newest entries first, and its parameters."""
    entries = filters.apply(query).values_list(*COLUMNS)
    inner, parameters = entries.query.sql_with_params()
    cells = ", ".join(map(_cell, COLUMNS)).replace("%", "%%")
    # Safe to interpolate: all of it is our own SQL; the user's filter is in the parameters.
    statement = f"COPY (SELECT {cells} FROM ({inner}) AS entry) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE *)"  # noqa: S608
    return statement, parameters


def estimated_rows(query: Mapping[str, str]) -> int:
    """Return the number of rows that PostgreSQL estimates from its statistics."""
    entries = filters.apply(query).order_by().values_list("id")
    text = entries.explain(format="text").splitlines()[0]
    return int(text.partition("rows=")[2].partition(" ")[0])
