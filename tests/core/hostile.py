"""Servers that misbehave, each on a random loopback port, for the tests of the HTTP floor."""

import contextlib
import gzip
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# Answers one connection: reads what it likes, writes what it likes.
Script = Callable[[socket.socket], object]


@contextlib.contextmanager
def serving(script: Script, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Run `script` for each connection; give the server's base URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopping = threading.Event()
    threads: list[threading.Thread] = []

    def one(peer: socket.socket) -> None:
        with contextlib.suppress(OSError), peer:
            if context is None:
                script(peer)
                return
            with context.wrap_socket(peer, server_side=True) as encrypted:
                script(encrypted)

    def accept() -> None:
        while not stopping.is_set():
            try:
                peer, _address = listener.accept()
            except OSError:
                return
            peer.settimeout(20)
            thread = threading.Thread(target=one, args=(peer,), daemon=True)
            thread.start()
            threads.append(thread)

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    scheme = "https" if context else "http"
    try:
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stopping.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def read_head(peer: socket.socket) -> bytes:
    """Return the request's head; b"" when the client has gone."""
    head = b""
    while b"\r\n\r\n" not in head:
        part = peer.recv(65536)
        if not part:
            return b""
        head += part
    return head


def reply(
    body: bytes = b"{}", status: str = "200 OK", *headers: str, length: int | None = None
) -> Script:
    """Return a script that answers every request of a connection with the same reply."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
    head = "\r\n".join([*lines, *headers, "", ""]).encode()

    def script(peer: socket.socket) -> None:
        while read_head(peer):
            peer.sendall(head + body)
            if length is not None:
                return

    return script


def endless(total: int) -> Script:
    """Return a script that streams `total` bytes without telling how many."""

    def script(peer: socket.socket) -> None:
        read_head(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(total // 65536):
            peer.sendall(b"a" * 65536)

    return script


def dripping(preface: bytes, drop: bytes, stop: threading.Event, *, waits: bool = True) -> Script:
    """Return a script that sends `preface`, then a byte of `drop` every 50 ms until `stop`.

    It first `waits` for a request, unless told otherwise.
    """

    def script(peer: socket.socket) -> None:
        if waits:
            read_head(peer)
        peer.sendall(preface)
        sent = 0
        while not stop.wait(0.05):
            peer.sendall(drop[sent % len(drop) :][:1])
            sent += 1

    return script


def gzip_bomb(megabytes: int) -> bytes:
    """Return a small gzip stream of `megabytes` MB of zeros."""
    packer, block = gzip.compress(b"\0" * 1024 * 1024), b""
    for _ in range(megabytes):
        block += packer  # gzip members may follow each other
    return block


def certificate(
    folder: Path, *, name: str = "localhost", address: str = "127.0.0.1", days: int = 1
) -> tuple[ssl.SSLContext, Path]:
    """Return a server context and the PEM file of its self-signed certificate.

    `days` below 0 makes one that has expired; the file serves as its own authority.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    alternatives = [x509.DNSName(name), x509.IPAddress(ip_address(address))]
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30)).not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = folder / f"{name}-{days}.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file = pem.with_suffix(".key")
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key_file)
    return context, pem
