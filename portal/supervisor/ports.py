"""Chooses the ports that the parts listen on: the web server's is predictable, the others are random and stored."""

import errno
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from portal.core.embedded.processes import StartError

DEFAULT_WEB_PORT = 8000
TRIED_AFTER_WANTED = 100


def listen(wanted: int, host: str) -> socket.socket:
    """Listen on `wanted` or the next free port after it; on any free port if `wanted` is 0.

    Raises StartError when a hundred ports are taken, or the machine refuses for another reason.

    The supervisor opens the socket first and hands it to the web server: no other program can take
    the port while the database starts, and the socket survives restarts of the web server.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in range(wanted, min(wanted + TRIED_AFTER_WANTED, 65535) + 1):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(2048)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise StartError(_refusal(host, port, error)) from error
        else:
            return listener
    raise StartError(
        f"Port {wanted} and the {TRIED_AFTER_WANTED} after it are all taken. Set PORT to a free one."
    )


def _refusal(host: str, port: int, error: OSError) -> str:
    """Return why we cannot listen on a port although it is free, and what to do."""
    if error.errno == errno.EACCES:
        return (
            f"Port {port} is reserved for root. Set PORT to one above 1023, behind a reverse proxy."
        )
    return f"{host} is not an address of this machine ({error.strerror}). Correct PORTAL_BIND."


class PrivatePorts(Mapping[str, int]):
    """Reserves a free loopback port for each name: that of the last run if it is still free.

    Each is held until `release(name)`, so that two runs that start together share none.
    """

    def __init__(self, names: tuple[str, ...], memory: Path) -> None:
        known = _recalled(memory)
        self._held = {name: _hold(known.get(name, 0)) or _hold(0) for name in names}
        self._ports = {
            name: int(held.getsockname()[1]) for name, held in self._held.items() if held
        }
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(known | self._ports, indent=1) + "\n")

    def __getitem__(self, name: str) -> int:
        return self._ports[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ports)

    def __len__(self) -> int:
        return len(self._ports)

    def release(self, *names: str) -> None:
        """Release the ports of `names`, for the programs that are about to start."""
        for name in names or tuple(self._held):
            if held := self._held.pop(name, None):
                held.close()


def _hold(port: int) -> socket.socket | None:
    """Return a socket that occupies `port` (0: any) without accepting connections."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind(("127.0.0.1", port))
        held.listen(1)  # if only bound, two runs with SO_REUSEADDR could share the port
    except OSError:
        held.close()
        return None
    return held


def _recalled(memory: Path) -> dict[str, int]:
    try:
        stored = json.loads(memory.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(stored, dict):
        return {}
    return {k: v for k, v in stored.items() if isinstance(v, int) and 1024 <= v <= 65535}
