"""Logstash, Kibana and the accounts of Elasticsearch: what can be seen without running them."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.docker import files
from tests.docker.files import DOCKER, clean_environment, services, yaml_of
from tests.serving import serving

SCRIPT = DOCKER / "elasticsearch_accounts.py"
accounts = files.script("elasticsearch_accounts")
PIPELINES = sorted((DOCKER / "logstash" / "pipeline").iterdir())


def without_comments(path: Path) -> str:
    return re.sub(r"^\s*#.*$", "", path.read_text(), flags=re.M)


def streams() -> set[str]:
    """Return the data streams into which the pipelines write."""
    found = set()
    for path in PIPELINES:
        told = dict(re.findall(r'data_stream_(\w+) => "(\w+)"', path.read_text()))
        found.add(f"{told['type']}-{told['dataset']}-{told['namespace']}")
    return found


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.name)
def test_a_pipeline_is_whole(path: Path) -> None:
    text = without_comments(path)
    assert re.findall(r"^(\w+) \{", text, re.M) == ["input", "filter", "output"]
    ruby = re.sub(r"code => '.*?'", "", text, flags=re.S)
    for opening, closing in ("{}", "[]", "()"):
        assert ruby.count(opening) == ruby.count(closing)
    assert 'user => "logstash_writer"' in text
    assert 'password => "${ELASTICSEARCH_PASSWORD}"' in text


def test_every_pipeline_that_is_there_is_run_and_the_refused_are_read_again() -> None:
    listed = {entry["pipeline.id"]: entry for entry in yaml_of("logstash/pipelines.yml")}
    assert {Path(entry["path.config"]).name for entry in listed.values()} == {
        p.name for p in PIPELINES
    }
    settings = yaml_of("logstash/logstash.yml")
    assert settings["dead_letter_queue.enable"] is True
    assert settings["queue.type"] == "persisted"
    (reader,) = re.findall(
        r'pipeline_id => "(\w+)"', (DOCKER / "logstash/pipeline/refused.conf").read_text()
    )
    assert reader in listed
    assert listed["refused"]["dead_letter_queue.enable"] is False


def test_logstash_may_write_the_streams_it_writes_and_no_others() -> None:
    (right,) = accounts.ROLES["logstash_writer"]["indices"]
    assert streams() == {"logs-portal-default", "logs-refused-default"}
    assert {stream.rpartition("-")[0] + "-*" for stream in streams()} == set(right["names"])
    assert "create_doc" in right["privileges"]
    assert not {"all", "write", "delete", "manage"} & set(right["privileges"])


def test_grafana_reads_the_stream_that_logstash_writes() -> None:
    sources = yaml_of("grafana/provisioning/datasources/datasources.yml")["datasources"]
    (logs,) = [source for source in sources if source["type"] == "elasticsearch"]
    assert logs["jsonData"]["index"] in streams()
    assert logs["basicAuthUser"] in accounts.ACCOUNTS


def test_logstash_gets_its_password_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from-the-file")
    (tmp_path / "entry").write_text('#!/bin/sh\necho "$ELASTICSEARCH_PASSWORD $*"\n')
    (tmp_path / "entry").chmod(0o755)
    done = subprocess.run(
        ["sh", str(DOCKER / "logstash" / "start.sh"), "handed", "on"], capture_output=True, text=True, check=True,
        env=clean_environment(PASSWORD_FILE=str(tmp_path / "password"), LOGSTASH_ENTRYPOINT=str(tmp_path / "entry")),
    )  # fmt: skip
    assert done.stdout == "from-the-file handed on\n"


def test_kibana_reads_its_password_from_its_second_file() -> None:
    assert yaml_of("kibana/kibana.yml")["elasticsearch.username"] == "kibana_system"
    assert not any("assword" in key or "Key" in key for key in yaml_of("kibana/kibana.yml"))
    assert services()["kibana"]["command"][-2:] == ["-c", "/run/secrets/kibana.yml"]


@contextmanager
def elasticsearch(status: int) -> Iterator[tuple[str, list[tuple[str, str, Any]]]]:
    """Yield the URL of a server that answers `status`, and the (path, login, body) it is sent."""
    sent: list[tuple[str, str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            login = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
            sent.append((self.path, login, body))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b'{"error": "said why"}')

        def log_message(self, format: str, *args: Any) -> None:
            """Keep quiet."""

    with serving(Handler) as port:
        yield f"http://127.0.0.1:{port}", sent


def run(url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    for name in files.script("make_secrets").VOLUMES["secrets-accounts"].files:
        (folder / name).write_text(f"the {name}")
    command = [sys.executable, str(SCRIPT), url, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_each_account_gets_its_own_password_and_its_own_role(tmp_path: Path) -> None:
    with elasticsearch(200) as (url, sent):
        assert run(url, tmp_path).returncode == 0
    assert {login for _, login, _ in sent} == {"elastic:the elastic_password"}
    bodies = {path: body for path, _, body in sent}
    assert bodies["/_security/user/kibana_system/_password"] == {"password": "the kibana_password"}
    for name, file in accounts.ACCOUNTS.items():
        assert bodies[f"/_security/user/{name}"] == {"password": f"the {file}", "roles": [name]}
        assert bodies[f"/_security/role/{name}"] == accounts.ROLES[name]


def test_a_refusal_is_told_with_its_reason_and_without_the_password(tmp_path: Path) -> None:
    with elasticsearch(403) as (url, _sent):
        done = run(url, tmp_path)
    assert done.returncode == 1
    assert "403" in done.stderr
    assert "said why" in done.stderr
    assert "the elastic_password" not in done.stderr
