"""Gives Elasticsearch the stack's accounts: `elasticsearch_accounts.py URL FOLDER`. Repeatable.

Kibana's own account gets its password; two more are made that can do no more than their work:
Logstash's may only add log entries, the portal's and Grafana's may only read them.
FOLDER has one file per password. Standard library only.
"""

import base64
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 30
STREAMS = ["logs-portal-*", "logs-refused-*"]

ROLES: dict[str, dict[str, Any]] = {
    "logstash_writer": {
        "cluster": ["monitor"],
        "indices": [{"names": STREAMS, "privileges": ["auto_configure", "create_doc"]}],
    },
    "portal_reader": {
        "cluster": ["monitor"],
        "indices": [{"names": ["logs-*"], "privileges": ["read", "view_index_metadata"]}],
    },
}
# account: the file of its password
ACCOUNTS = {"logstash_writer": "logstash_password", "portal_reader": "reader_password"}


def put(url: str, path: str, body: dict[str, Any], password: str) -> None:
    """Send `body` as the superuser. Raises OSError, whose text names the path and the reason."""
    login = base64.b64encode(f"elastic:{password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - the URL is compose.yml's
        url + path,
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Basic {login}"},
        method="PUT",
    )
    try:
        urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS).close()  # noqa: S310
    except urllib.error.HTTPError as error:
        said = error.read(500).decode("utf-8", "replace")
        raise OSError(f"{path}: {error.code} {said}") from error


def main() -> int:
    url, folder = sys.argv[1].rstrip("/"), Path(sys.argv[2])
    elastic = (folder / "elastic_password").read_text().strip()
    try:
        kibana = (folder / "kibana_password").read_text().strip()
        put(url, "/_security/user/kibana_system/_password", {"password": kibana}, elastic)
        for name, role in ROLES.items():
            put(url, f"/_security/role/{name}", role, elastic)
        for name, file in ACCOUNTS.items():
            account = {"password": (folder / file).read_text().strip(), "roles": [name]}
            put(url, f"/_security/user/{name}", account, elastic)
    except OSError as error:
        print(f"Elasticsearch did not take the accounts: {error}", file=sys.stderr)
        return 1
    print(f"Accounts: kibana_system, {', '.join(ACCOUNTS)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
