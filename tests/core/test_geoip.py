"""Country and network of an address, by MaxMind's own test databases."""

import logging
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from portal.core import geoip
from portal.core.geoip import UNKNOWN, Location
from tests.payloads.recorded import FOLDER

COUNTRY = FOLDER / "geoip" / "GeoLite2-Country-Test.mmdb"
ASN = FOLDER / "geoip" / "GeoLite2-ASN-Test.mmdb"
# A reader that was replaced ends with its last user.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


@pytest.fixture(autouse=True)
def _fresh_files() -> Iterator[None]:
    geoip._database.cache_clear()
    yield
    geoip._database.cache_clear()


def use(settings: Any, *paths: Path) -> None:
    settings.GEOIP_DATABASES = [str(path) for path in paths]


@pytest.mark.parametrize(
    ("address", "location"),
    [
        ("81.2.69.142", Location("GB")),
        ("2.125.160.217", Location("GB")),  # registered in France, used in Britain
        ("1.0.0.1", Location("", 15169)),
        ("2001:218::1", Location("JP")),
        ("12.81.92.7", Location("", 7018)),
        ("127.0.0.1", UNKNOWN),
        ("10.1.2.3", UNKNOWN),
        ("::1", UNKNOWN),
        ("", UNKNOWN),
        (None, UNKNOWN),
    ],
)
def test_each_file_tells_what_it_knows(
    settings: Any, address: str | None, location: Location
) -> None:
    use(settings, COUNTRY, ASN)
    assert geoip.location(address) == location
    assert geoip.location(address) == location  # from memory


def test_without_files_nothing_is_known(settings: Any) -> None:
    use(settings)
    assert geoip.location("81.2.69.142") == UNKNOWN
    assert geoip.file_facts() == []


@pytest.mark.parametrize("name", ["bad-unicode-in-map-key.mmdb", "MaxMind-DB-test-ipv4-24.mmdb"])
@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "255.255.255.255", "2001:218::1"])
def test_damaged_and_foreign_files_know_nothing(settings: Any, name: str, address: str) -> None:
    use(settings, FOLDER / "geoip" / name)
    assert geoip.location(address) == UNKNOWN


@pytest.mark.parametrize("content", [b"", b"\x00" * 4096, b"\xab\xcd\xefMaxMind.com"])
def test_a_file_that_is_none_is_said_once_in_the_log(
    settings: Any, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "x.mmdb").write_bytes(content)
    use(settings, tmp_path / "x.mmdb", COUNTRY)
    with caplog.at_level(logging.WARNING):
        assert {geoip.location("81.2.69.142") for _ in range(5)} == {Location("GB")}
    assert caplog.text.count("x.mmdb in GEOIP_DATABASES cannot be used") == 1
    broken, well = geoip.file_facts()
    assert broken.problem
    assert (well.problem, well.kind) == ("", "GeoLite2-Country")
    assert well.built_at is not None
    assert well.built_at > datetime(2020, 1, 1, tzinfo=UTC)


def test_a_file_that_is_not_there_is_told_by_the_systems_word(
    settings: Any, tmp_path: Path
) -> None:
    use(settings, tmp_path / "none.mmdb")
    assert geoip.location("81.2.69.142") == UNKNOWN
    assert geoip.file_facts()[0].problem == "No such file or directory"


def test_a_file_that_was_replaced_is_read_anew(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geoip, "CHECK_EVERY_SECONDS", 0)
    path = tmp_path / "places.mmdb"
    shutil.copy(ASN, path)
    use(settings, path)
    assert geoip.location("81.2.69.142") == UNKNOWN
    shutil.copy(COUNTRY, tmp_path / "new")
    os.replace(tmp_path / "new", path)
    assert geoip.location("81.2.69.142") == Location("GB")
    path.write_bytes(b"half a download")  # in place, under a reader that has it open
    assert geoip.location("81.2.69.142") == UNKNOWN
    shutil.copy(COUNTRY, path)
    assert geoip.location("81.2.69.142") == Location("GB")


def test_it_is_looked_at_again_after_a_minute_only(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("portal.core.geoip.time.monotonic", lambda: now[0])
    path = tmp_path / "places.mmdb"
    use(settings, path)
    assert geoip.location("81.2.69.142") == UNKNOWN
    shutil.copy(COUNTRY, path)
    assert geoip.location("81.2.69.142") == UNKNOWN
    now[0] += geoip.CHECK_EVERY_SECONDS
    assert geoip.location("81.2.69.142") == Location("GB")


def test_what_is_remembered_is_bounded(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geoip, "MAX_CACHED", 10)
    use(settings, COUNTRY)
    for last in range(50):
        geoip.location(f"10.0.0.{last}")
    assert len(geoip._database(str(COUNTRY))._open[1]) <= 10
