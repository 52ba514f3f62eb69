"""Vendored front-end files are what VENDORED.md says, and unfold is the version our overrides are made for."""

import hashlib
import re
from importlib.metadata import version

import pytest

from portal.core.embedded.places import BASE_DIR

STATIC = BASE_DIR / "portal" / "static"
TABLE = (STATIC / "vendor" / "VENDORED.md").read_text()
ROWS = re.findall(r"^\| `(\S+)` \| .* \| `(\S+)` \| `([0-9a-f]{64})` \|$", TABLE, re.M)


@pytest.mark.parametrize("file, licence, expected", ROWS, ids=[row[0] for row in ROWS])
def test_a_vendored_file_has_its_sum_and_its_licence(
    file: str, licence: str, expected: str
) -> None:
    assert hashlib.sha256((STATIC / file).read_bytes()).hexdigest() == expected
    assert "Permission is hereby granted" in (STATIC / licence).read_text()


def test_the_table_lists_every_vendored_script_and_style() -> None:
    vendored = {
        str(path.relative_to(STATIC))
        for folder in ("vendor", "unfold")
        for path in (STATIC / folder).rglob("*")
        if path.suffix in (".js", ".css")
    }
    assert vendored == {row[0] for row in ROWS}


def test_unfold_is_the_version_whose_templates_are_overridden() -> None:
    assert version("django-unfold") == "0.91.0", (
        "Compare the templates in templates/unfold/ and the expressions in portal/alpine-csp.js"
        " with the new version, run the browser tests, then correct this line."
    )
