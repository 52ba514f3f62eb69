"""The COPY statement of an export: PostgreSQL writes the CSV, formula-safe, while it reads.

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
# Free text. The others are numbers, times, addresses, words of ours, JSON, which begins with a bracket, and
# codes, which begin with a letter or a digit.
TEXTS = frozenset(
    ("reason", "actor_id", "actor_name", "impersonator_id", "impersonator_name", "auth_method", "user_agent",
     "http_method", "url_path", "request_id", "target_type", "target_id", "target_name")
)  # fmt: skip
MOMENTS = frozenset(("occurred_at", "recorded_at"))
# No text of PostgreSQL holds NUL.
FIRST = ", ".join(str(ord(char)) for char in DANGEROUS if char != "\x00")


def neutral(column: str) -> str:
    """Return the SQL of a text cell that no spreadsheet takes for a formula."""
    # The number of the first character in a hashed list: a comparison of texts costs twice that,
    # and a regular expression ten times. It is 0 for an empty text, and nothing for NULL.
    return (
        f"CASE WHEN ascii({column}) = ANY (ARRAY[{FIRST}]) THEN '''' || {column} ELSE {column} END"
    )


def _cell(column: str) -> str:
    if column in TEXTS:
        return f"{neutral(column)} AS {column}"
    if column in MOMENTS:  # RFC 3339; to_char costs three times as much
        return f"replace(({column} AT TIME ZONE 'UTC')::text, ' ', 'T') || 'Z' AS {column}"
    if column == "actor_roles":
        return "to_json(actor_roles) AS actor_roles"
    return column


def copy_statement(query: Mapping[str, str]) -> tuple[str, tuple[Any, ...]]:
    """Return the statement, newest entries first, and its parameters."""
    entries = filters.apply(query).values_list(*COLUMNS)
    inner, parameters = entries.query.sql_with_params()
    cells = ", ".join(map(_cell, COLUMNS)).replace("%", "%%")
    # All of it is our own text; what was asked for is in the parameters.
    statement = f"COPY (SELECT {cells} FROM ({inner}) AS entry) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE *)"  # noqa: S608
    return statement, parameters


def estimated_rows(query: Mapping[str, str]) -> int:
    """Return how many rows PostgreSQL expects, from its statistics alone."""
    entries = filters.apply(query).order_by().values_list("id")
    text = entries.explain(format="text").splitlines()[0]
    return int(text.partition("rows=")[2].partition(" ")[0])
