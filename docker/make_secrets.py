"""Makes the secrets of the compose stack once, and gives each container exactly those it needs.

`make_secrets.py VAULT VOLUMES`: VAULT keeps one file per secret, for root alone; VOLUMES holds one
folder per volume. Runs as root before anything else starts. Repeatable: what exists is kept, what
was added by a new version is made, and a copy that differs from the vault is written anew, so a
secret is rotated by removing it from the vault. Standard library only.
"""

import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PORTAL, POSTGRES, VALKEY, NOBODY, GRAFANA, ELASTIC, TEMPO = 10001, 999, 999, 65534, 472, 1000, 10001

# Every secret is made alike: 50 random bytes in letters, digits, - and _, which no URL or YAML minds.
NAMES = (
    "secret_key",
    "field_encryption_keys",
    "metrics_token",
    "postgres_password",
    "valkey_password",
    "grafana_password",
    "grafana_secret_key",
    "elastic_password",
    "kibana_password",
    "kibana_encryption_key",
    "logstash_password",
    "reader_password",
)
# Secrets of others, which somebody puts into the vault. A file that is empty says that there is none.
GIVEN = ("sentry_api_token", "siem_token", "siem_ca")


@dataclass(frozen=True)
class Volume:
    """Who owns a volume, and which files of secrets are in it (`{name}` is a secret of the vault)."""

    uid: int
    gid: int
    files: Mapping[str, str] = field(default_factory=dict)
    mode: int = 0o700


VOLUMES = {
    "secrets-portal": Volume(
        PORTAL,
        PORTAL,
        {
            "secret_key": "{secret_key}",
            "field_encryption_keys": "{field_encryption_keys}",
            "metrics_token": "{metrics_token}",
            "database_url": "postgresql://portal:{postgres_password}@postgres:5432/portal",
            "redis_url": "redis://:{valkey_password}@valkey:6379/0",
            "elasticsearch_url": "http://portal_reader:{reader_password}@elasticsearch:9200",
            **{name: f"{{{name}}}" for name in GIVEN},
        },
    ),
    "secrets-postgres": Volume(POSTGRES, POSTGRES, {"password": "{postgres_password}"}),
    "secrets-valkey": Volume(
        VALKEY,
        VALKEY,
        {"password": "{valkey_password}", "auth.conf": "requirepass {valkey_password}"},
    ),
    "secrets-prometheus": Volume(NOBODY, NOBODY, {"metrics_token": "{metrics_token}"}),
    # `prepare` leaves the webhook's token here; its group lets Alertmanager read it.
    "secrets-alertmanager": Volume(PORTAL, NOBODY, mode=0o2750),
    "secrets-grafana": Volume(
        GRAFANA,
        0,
        {
            "admin_password": "{grafana_password}",
            "secret_key": "{grafana_secret_key}",
            "reader_password": "{reader_password}",
        },
    ),
    "secrets-elasticsearch": Volume(ELASTIC, 0, {"elastic_password": "{elastic_password}"}),
    "secrets-logstash": Volume(ELASTIC, 0, {"password": "{logstash_password}"}),
    "secrets-kibana": Volume(
        ELASTIC,
        0,
        {
            "kibana.yml": "elasticsearch.password: {kibana_password}\n"
            "xpack.security.encryptionKey: {kibana_encryption_key}\n"
            "xpack.encryptedSavedObjects.encryptionKey: {kibana_encryption_key}\n"
            "xpack.reporting.encryptionKey: {kibana_encryption_key}",
        },
    ),
    "secrets-accounts": Volume(
        PORTAL,
        PORTAL,
        {
            "elastic_password": "{elastic_password}",
            "kibana_password": "{kibana_password}",
            "logstash_password": "{logstash_password}",
            "reader_password": "{reader_password}",
        },
    ),
    # No secrets: a fresh volume belongs to root, and none of these programs runs as root.
    "audit": Volume(PORTAL, PORTAL),
    "postgres": Volume(POSTGRES, POSTGRES),
    "valkey": Volume(VALKEY, VALKEY),
    "prometheus": Volume(NOBODY, NOBODY),
    "alertmanager": Volume(NOBODY, NOBODY),
    "grafana": Volume(GRAFANA, 0),
    "elasticsearch": Volume(ELASTIC, 0),
    "logstash": Volume(ELASTIC, 0),
    "kibana": Volume(ELASTIC, 0),
    "tempo": Volume(TEMPO, TEMPO),
}


def fill_vault(vault: Path) -> dict[str, str]:
    """Return all secrets, made where they were missing. A half written one cannot be left behind."""
    vault.chmod(0o700)
    for name in NAMES:
        if not (vault / name).exists():
            write(vault / name, secrets.token_urlsafe(50), 0o600)
    known = {name: (vault / name).read_text().strip() for name in NAMES}
    return known | {name: _given(vault / name) for name in GIVEN}


def _given(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def write(path: Path, text: str, mode: int, owner: tuple[int, int] | None = None) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    if owner is not None:
        os.chown(draft, *owner)
    draft.replace(path)


def hand_out(folder: Path, volume: Volume, known: Mapping[str, str]) -> list[str]:
    """Bring one volume to what it should be; return the names of the files that were written."""
    status = folder.stat()
    if (status.st_uid, status.st_gid) != (volume.uid, volume.gid):
        os.chown(folder, volume.uid, volume.gid)
    folder.chmod(volume.mode)
    written = []
    for name, template in volume.files.items():
        text = template.format(**known)
        path = folder / name
        if not path.exists() or path.read_text() != text:
            # Elasticsearch refuses a password file that is not exactly 0400 or 0600.
            write(path, text, 0o400, (volume.uid, volume.gid))
            written.append(name)
    return written


def main() -> int:
    vault, volumes = map(Path, sys.argv[1:3])
    known = fill_vault(vault)
    for name, volume in VOLUMES.items():
        if not (volumes / name).is_dir():
            print(f"{volumes / name} is not mounted: compose.yml and this file name other volumes.")
            return 1
        written = hand_out(volumes / name, volume, known)
        if written:
            print(f"{name}: {', '.join(written)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
