"""Asks the web process of this container: `healthcheck.py /readyz`; `-` asks for the ready file instead.

Standard library only: it runs every few seconds, and Django would cost more than the answer.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path

SECONDS = 4


def web_answers(path: str, port: int) -> bool:
    """True when the web server answers `path` with 200; what it says otherwise is printed."""
    connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", path, headers={"Host": "localhost"})
        reply = connection.getresponse()
        print(reply.read(2000).decode("utf-8", "replace"))
        return reply.status == 200
    except (OSError, HTTPException) as error:
        print(f"The web server does not answer: {error}")
        return False
    finally:
        connection.close()


def has_begun(ready_file: str) -> bool:
    """True when worker or beat has touched its ready file, which lies on the container's tmpfs."""
    if ready_file and Path(ready_file).exists():
        return True
    print(f"{ready_file or 'PORTAL_READY_FILE'} is not there: the process has not begun to work.")
    return False


def main() -> int:
    wanted = sys.argv[1] if len(sys.argv) > 1 else "/readyz"
    if wanted == "-":
        return 0 if has_begun(os.environ.get("PORTAL_READY_FILE", "")) else 1
    port = int(os.environ.get("PORTAL_BIND", "127.0.0.1:8000").rpartition(":")[2])
    return 0 if web_answers(wanted, port) else 1


if __name__ == "__main__":
    sys.exit(main())
