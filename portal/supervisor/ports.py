"""Which ports the parts listen on: the web's is predictable, the others are random and remembered."""

import json
import socket
from pathlib import Path

DEFAULT_WEB_PORT = 8000
TRIED_AFTER_WANTED = 100


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def web_port(wanted: int, host: str) -> int | None:
    """Return `wanted`, or the next free port after it; None when a hundred are taken."""
    last = min(wanted + TRIED_AFTER_WANTED, 65535)
    return next((port for port in range(wanted, last + 1) if is_free(port, host)), None)


def private_ports(names: tuple[str, ...], memory: Path) -> dict[str, int]:
    """Return a free loopback port for each name: that of the last run where it is still free."""
    known = _recalled(memory)
    chosen: dict[str, int] = {}
    for name in names:
        port = known.get(name, 0)
        chosen[name] = (
            port if port not in chosen.values() and port and is_free(port) else _random(chosen)
        )
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.write_text(json.dumps(known | chosen, indent=1) + "\n")
    return chosen


def _recalled(memory: Path) -> dict[str, int]:
    try:
        stored = json.loads(memory.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(stored, dict):
        return {}
    return {k: v for k, v in stored.items() if isinstance(v, int) and 1024 <= v <= 65535}


def _random(taken: dict[str, int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken.values():
            return port
