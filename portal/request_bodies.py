"""Handles request bodies that Django's WSGI handler does not: chunked ones, and those above the size limit."""

from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from typing import Any

from gunicorn.http.errors import NoMoreData  # type: ignore[import-untyped]

from portal.core.problems import MAX_BODY_BYTES

MAX_DRAINED_BYTES = 100 * 1024 * 1024
CHUNK_BYTES = 256 * 1024

Meta = dict[str, Any]
Application = Callable[[Meta, Any], Iterable[bytes]]


class RequestBodyMiddleware:
    """Sets the length of chunked bodies, and reads the rest of bodies that were refused as too large.

    Closing a connection while the client is still sending resets it, and most clients then never see the
    response that says why. The web worker limits how long this may take (portal.web_worker).
    """

    def __init__(self, application: Application) -> None:
        self.application = application

    def __call__(self, meta: Meta, start_response: Any) -> Iterable[bytes]:
        rest = meta["wsgi.input"]
        if _is_chunked(meta):
            _set_length(meta)
        answer = self.application(meta, start_response)
        return _Draining(answer, rest) if _length(meta) > MAX_BODY_BYTES else answer


class _Draining:
    """A response after which the rest of the request body is read and discarded."""

    def __init__(self, answer: Iterable[bytes], rest: Any) -> None:
        self.answer = answer
        self.rest = rest

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.answer)

    def close(self) -> None:
        if callable(close := getattr(self.answer, "close", None)):
            close()
        drained = 0
        while drained < MAX_DRAINED_BYTES and (chunk := self.rest.read(CHUNK_BYTES)):
            drained += len(chunk)


def _is_chunked(meta: Meta) -> bool:
    coding = str(meta.get("HTTP_TRANSFER_ENCODING", "")).strip().lower()
    return coding == "chunked" and bool(meta.get("wsgi.input_terminated"))


def _set_length(meta: Meta) -> None:
    """Read a chunked body and set its length; stop one byte above the limit, which is enough to refuse it.

    An incomplete body gets a length greater than its content, so that it is refused as incomplete.
    """
    try:
        body = meta["wsgi.input"].read(MAX_BODY_BYTES + 1)
    except NoMoreData:
        meta["wsgi.input"], meta["CONTENT_LENGTH"] = BytesIO(), "1"
        return
    meta["wsgi.input"] = BytesIO(body)
    meta["CONTENT_LENGTH"] = str(len(body))


def _length(meta: Meta) -> int:
    written = str(meta.get("CONTENT_LENGTH") or "0")
    return int(written[:18]) if written.isascii() and written.isdigit() else 0
