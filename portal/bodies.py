"""Bodies that Django's WSGI handler does not read: one without a length, and one too large to be wanted."""

from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from typing import Any

from gunicorn.http.errors import NoMoreData  # type: ignore[import-untyped]

from portal.core.problems import MAX_BODY_BYTES

MOST_DRAINED = 100 * 1024 * 1024
CHUNK_BYTES = 256 * 1024

Meta = dict[str, Any]
Application = Callable[[Meta, Any], Iterable[bytes]]


class Bodies:
    """Gives a chunked body its length, and takes the rest of one that was refused.

    A connection that is closed on a client which still sends is reset, and most clients then never
    see the answer that says why. The web worker ends what takes too long (portal.web_worker).
    """

    def __init__(self, application: Application) -> None:
        self.application = application

    def __call__(self, meta: Meta, start_response: Any) -> Iterable[bytes]:
        rest = meta["wsgi.input"]
        if _is_chunked(meta):
            _give_length(meta)
        answer = self.application(meta, start_response)
        return _Draining(answer, rest) if _length(meta) > MAX_BODY_BYTES else answer


class _Draining:
    """An answer after which the rest of the request is read and dropped."""

    def __init__(self, answer: Iterable[bytes], rest: Any) -> None:
        self.answer = answer
        self.rest = rest

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.answer)

    def close(self) -> None:
        if callable(close := getattr(self.answer, "close", None)):
            close()
        drained = 0
        while drained < MOST_DRAINED and (chunk := self.rest.read(CHUNK_BYTES)):
            drained += len(chunk)


def _is_chunked(meta: Meta) -> bool:
    coding = str(meta.get("HTTP_TRANSFER_ENCODING", "")).strip().lower()
    return coding == "chunked" and bool(meta.get("wsgi.input_terminated"))


def _give_length(meta: Meta) -> None:
    """Replace the input by what was read of it; one byte too many is enough to refuse it.

    One that breaks off is given a byte that it lacks, so that it is refused as any other that does.
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
