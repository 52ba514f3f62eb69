"""The shared log file: whole lines from many processes, and no failure for the caller."""

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from portal.core.embedded.places import BASE_DIR
from portal.core.log_file import LineFileHandler
from portal.core.log_lines import LineFormatter

WRITING = """
import logging, sys
from portal.core.log_file import LineFileHandler
from portal.core.log_lines import LineFormatter
handler = LineFileHandler(sys.argv[1])
handler.setFormatter(LineFormatter())
logging.basicConfig(level="INFO", handlers=[handler])
for n in range(500):
    logging.info("m" * 9000, extra={"writer": sys.argv[2], "n": n})
"""


def logger(path: Path) -> logging.Logger:
    handler = LineFileHandler(str(path))
    handler.setFormatter(LineFormatter())
    log = logging.Logger("to a file")
    log.addHandler(handler)
    return log


def test_lines_of_several_processes_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "portal.log"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITING, str(path), str(n)], cwd=BASE_DIR) for n in range(3)
    ]  # fmt: skip
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({(line["writer"], line["n"]) for line in lines}) == len(lines) == 1500


def test_a_date_in_the_name_makes_a_file_per_day_and_folders(tmp_path: Path) -> None:
    logger(tmp_path / "logs" / "portal-%Y-%m-%d.jsonl").info("hello")
    (file,) = (tmp_path / "logs").iterdir()
    assert file.name == f"portal-{datetime.now(UTC):%Y-%m-%d}.jsonl"
    assert json.loads(file.read_text())["message"] == "hello"


def test_a_file_that_was_rotated_away_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "portal.log"
    log = logger(path)
    log.info("first")
    path.rename(tmp_path / "portal.log.1")
    log.info("second")
    assert json.loads(path.read_text())["message"] == "second"


def test_a_file_that_cannot_be_written_is_counted_and_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def dropped() -> float:
        return REGISTRY.get_sample_value("portal_log_lines_dropped_total", {"sink": "file"}) or 0.0

    before, log = dropped(), logger(tmp_path)  # a folder
    log.info("one")
    log.info("two")
    assert dropped() - before == 2
    assert capsys.readouterr().err.count("Free the disk") == 1
