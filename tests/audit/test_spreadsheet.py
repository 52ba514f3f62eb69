"""LibreOffice opens an export: no cell is a formula, and each shows what docs/audit.md says."""

import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from audit import export_sql, services
from audit.models import AuditEntry
from portal.core.csv import cell
from tests.factories import make_user, sign_in

SOFFICE = shutil.which("soffice")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not SOFFICE, reason="skipped: no soffice to open the file with. Install libreoffice-calc."),
]  # fmt: skip
URL = "/api/v1/audit/exports/"
HOSTILE = (
    "=1+1", "+1+1", "-1+1", "@SUM(1)", "\t=1+1", "\r=1+1", "\n=1+1", "\x00=1+1", "\uff1d1+1", "\uff0b1", "\uff0d1",
    "\uff20SUM(1)", '=HYPERLINK("http://x","y")', "=cmd|' /C calc'!A0", '=DDE("soffice";"x";"y")', "'=1+1", '"=1+1"',
    'a","=1+1', "a\n=1+1", "a;=1+1;b", ";=1+1;", "a\t=1+1\tb", " =1+1", "{=1+1}", "of:=1+1", "12345678901234567890",
    "007", "1e5", "1-2", "TRUE", "\u202e=1+1", "\u200f=1+1", "\ufeff=1+1", "\u00a0=1+1", "é 日本 ü", "#REF!", "-",
)  # fmt: skip
# What a person may choose in the dialogue: separators by their code, UTF-8, and what a column is taken for.
AS_TEXT = "/".join(f"{number}/2" for number in range(1, len(export_sql.COLUMNS) + 1))
CHOSEN = {
    "every column as text": f"CSV:44,34,76,1,{AS_TEXT},0,false,false",
    "numbers and dates recognised": "CSV:44,34,76,1,,0,false,true",
    "comma, semicolon and tab, as the dialogue begins": "CSV:44/59/9,34,76,1,,0,false,true",
    "without a word, in the encoding of Windows": "CSV:44,34,1,1,,0,false,true",
}
TABLE, TEXT = (
    f"{{urn:oasis:names:tc:opendocument:xmlns:{name}:1.0}}" for name in ("table", "text")
)


@pytest.fixture
def exported(client: Client, tmp_path: Path) -> Path:
    """Download an export with one entry per hostile text, as an auditor does."""
    auditor = make_user(is_superuser=False)
    auditor.groups.add(Group.objects.get(name="auditor"))
    sign_in(client, auditor)
    kind = tmp_path.name  # the trail keeps what other tests wrote
    for text in HOSTILE:
        target = services.Target(kind, text, text)
        services.record("secret.viewed", reason=text, target=target, data={text: [text]})
    asked = {"query": {"target_type": kind}}
    number = client.post(URL, asked, content_type="application/json").json()["id"]
    sent = client.get(f"{URL}{number}/download/").streaming_content  # type: ignore[attr-defined]
    path = tmp_path / "export.csv"
    path.write_bytes(b"".join(sent))
    return path


def shown(element: ET.Element) -> str:
    """Return a paragraph's text; runs of blanks and tabs are elements in OpenDocument."""
    special = {f"{TEXT}tab": "\t", f"{TEXT}line-break": "\n"}
    said = element.text or ""
    for inner in element:
        blanks = " " * int(inner.get(f"{TEXT}c", "1"))
        known = blanks if inner.tag == f"{TEXT}s" else special.get(inner.tag)
        said += (shown(inner) if known is None else known) + (inner.tail or "")
    return said


def opened(path: Path, chosen: str) -> ET.Element:
    """Let LibreOffice load the file with these choices and save it as OpenDocument."""
    assert SOFFICE
    home = f"-env:UserInstallation=file://{path.parent}/profile"
    command = [SOFFICE, "--headless", home, f"--infilter={chosen}", "--convert-to", "fods", "--outdir",
               str(path.parent), str(path)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return ET.parse(path.with_suffix(".fods")).getroot()  # noqa: S314 - LibreOffice wrote it


def rows(document: ET.Element) -> Iterator[list[str]]:
    for row in document.iter(f"{TABLE}table-row"):
        yield [
            "\n".join(map(shown, each.findall(f"{TEXT}p")))
            for each in row.findall(f"{TABLE}table-cell")
            for _ in range(min(int(each.get(f"{TABLE}number-columns-repeated", "1")), 30))
        ]


def formulas(document: ET.Element) -> list[str]:
    return [found for each in document.iter() if (found := each.get(f"{TABLE}formula"))]


@pytest.mark.parametrize("chosen", CHOSEN.values(), ids=CHOSEN)
def test_no_cell_becomes_a_formula(exported: Path, chosen: str) -> None:
    assert formulas(opened(exported, chosen)) == []
    # The same texts without the apostrophe do become formulas, so that this test can fail.
    bare = exported.with_name("bare.csv")
    bare.write_text("".join(f'"{text}"\n' for text in ("=1+1", "=2+2")))
    assert len(formulas(opened(bare, chosen))) == (0 if "/2" in chosen else 2)


def test_each_cell_shows_its_text_and_nothing_is_lost(exported: Path) -> None:
    assert exported.read_bytes().startswith(
        b"uid,occurred_at,recorded_at,action,"
    )  # no mark in front
    header, *found = rows(opened(exported, CHOSEN["every column as text"]))
    assert tuple(header[: len(export_sql.COLUMNS)]) == export_sql.COLUMNS
    kept = AuditEntry.objects.filter(target_type=exported.parent.name).order_by(
        "-recorded_at", "-id"
    )
    known = [(cell(entry.reason), cell(entry.target_id), cell(entry.target_name)) for entry in kept]
    places = [export_sql.COLUMNS.index(name) for name in ("reason", "target_id", "target_name")]
    there = [tuple(row[place] for place in places) for row in found if any(row)]
    assert len(known) == len(HOSTILE)
    assert there == known
