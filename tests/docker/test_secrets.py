"""Secrets are made once, belong to whoever reads them, and fit where they are used."""

import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from portal import env
from tests.docker import files
from tests.docker.files import compose, mounts, services

made = files.script("make_secrets")


class Made:
    """The folders of one run, and who was given what."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.vault, self.volumes = folder / "vault", folder / "volumes"
        self.vault.mkdir()
        for name in made.VOLUMES:
            (self.volumes / name).mkdir(parents=True)
        self.owners: dict[Path, tuple[int, int]] = {}
        monkeypatch.setattr(os, "chown", self._chown)
        monkeypatch.setattr(sys, "argv", ["make_secrets.py", str(self.vault), str(self.volumes)])

    def _chown(self, path: Any, uid: int, gid: int) -> None:
        self.owners[Path(path)] = (uid, gid)

    def run(self) -> dict[str, str]:
        assert made.main() == 0
        return {
            str(path.relative_to(self.volumes)): path.read_text()
            for path in self.volumes.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(tmp_path, monkeypatch)


def test_secrets_are_made_once_and_never_again(stack: Made) -> None:
    first = stack.run()
    assert first
    assert stack.run() == first
    values = [path.read_text() for path in stack.vault.iterdir()]
    assert len(values) == len(set(values)) == len(made.NAMES)
    assert all(len(value) >= 50 for value in values)


def test_only_the_owner_can_read_a_secret(stack: Made) -> None:
    stack.run()
    for path in stack.volumes.rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o400
            volume = made.VOLUMES[path.parent.name]
            assert stack.owners[path.with_name(f".{path.name}.new")] == (volume.uid, volume.gid)
    assert {stat.S_IMODE(path.stat().st_mode) for path in stack.vault.iterdir()} == {0o600}


def test_a_secret_that_is_removed_from_the_vault_is_made_anew_everywhere(stack: Made) -> None:
    before = stack.run()
    (stack.vault / "valkey_password").unlink()
    after = stack.run()
    assert {name for name in after if after[name] != before[name]} == {
        "secrets-portal/redis_url",
        "secrets-valkey/auth.conf",
        "secrets-valkey/password",
    }


def test_the_portal_understands_what_it_gets(stack: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    known = stack.run()
    folder = stack.volumes / "secrets-portal"
    monkeypatch.setenv("DATABASE_URL_FILE", str(folder / "database_url"))
    monkeypatch.setenv("REDIS_URL_FILE", str(folder / "redis_url"))
    database = env.database("DATABASE_URL")
    assert database["HOST"] == "postgres"
    assert database["PASSWORD"] == known["secrets-postgres/password"]
    assert known["secrets-valkey/password"] in env.url("REDIS_URL", ("redis",))
    assert known["secrets-prometheus/metrics_token"] == known["secrets-portal/metrics_token"]


def test_what_others_gave_is_handed_on_and_what_they_did_not_is_empty(
    stack: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stack.vault / "siem_token").write_text("given-by-the-collector\n")
    stack.run()
    for name, value in services()["portal"]["environment"].items():
        path = stack.volumes / "secrets-portal" / Path(value).name
        monkeypatch.setenv(name, str(path) if value.startswith("/run/secrets/") else value)
    assert env.text("SIEM_TOKEN") == "given-by-the-collector"
    assert env.text("SENTRY_API_TOKEN") == ""
    assert Path(env.text("SIEM_CA_FILE")).read_text() == ""  # as where no authority is named


def test_kibana_gets_a_file_it_can_read_with_keys_that_are_long_enough(stack: Made) -> None:
    settings = yaml.safe_load(stack.run()["secrets-kibana/kibana.yml"])
    assert all(len(value) >= 32 for value in settings.values())


def test_every_volume_belongs_to_the_user_of_the_container_that_has_it() -> None:
    for name, service in services().items():
        for source, _target, writable in mounts(service):
            if name != "secrets" and source in made.VOLUMES:
                uid, gid = map(int, service["user"].split(":"))
                volume = made.VOLUMES[source]
                assert uid == volume.uid or (gid == volume.gid and not writable), (name, source)


def test_a_volume_that_may_be_empty_keeps_its_owner() -> None:
    """Docker gives an empty volume the owner of the image's folder, unless it is told not to."""
    for name, service in services().items():
        for volume in service.get("volumes", ()):
            source, _, rest = volume.partition(":")
            if name != "secrets" and source in made.VOLUMES and not rest.endswith(":ro"):
                assert rest.endswith(":nocopy"), (name, volume)


def test_the_first_service_has_all_the_volumes_it_gives_away() -> None:
    given = {Path(t).name: s for s, t, _ in mounts(services()["secrets"]) if t != "/vault"}
    assert given == {name: name for name in made.VOLUMES}
    assert set(compose()["volumes"]) - {"vault"} - set(made.VOLUMES) <= {"metrics"}


def test_a_volume_that_is_not_mounted_is_said_and_fails(
    stack: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    (stack.volumes / "tempo").rmdir()
    assert made.main() == 1
    assert "tempo is not mounted" in capsys.readouterr().out
