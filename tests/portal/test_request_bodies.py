"""Bodies of requests at the WSGI door: chunked ones are read, and what is refused is let go of."""

from collections.abc import Iterable
from io import BytesIO
from typing import Any

import pytest
from gunicorn.http.errors import NoMoreData  # type: ignore[import-untyped]

from portal import request_bodies
from portal.request_bodies import RequestBodyMiddleware


def ask(body: bytes, **environ: Any) -> tuple[str, bytes, int]:
    """Send `body` to an application that reads 9 bytes; return length and bytes it saw, and what is left."""
    seen: list[Any] = []

    def application(environ: dict[str, Any], _start: Any) -> Iterable[bytes]:
        seen.extend((environ.get("CONTENT_LENGTH", ""), environ["wsgi.input"].read(9)))
        return [b"answer"]

    given = BytesIO(body)
    answer: Any = RequestBodyMiddleware(application)({"wsgi.input": given, **environ}, None)
    assert b"".join(answer) == b"answer"
    if hasattr(answer, "close"):
        answer.close()
    return seen[0], seen[1], len(body) - given.tell()


CHUNKED = {"HTTP_TRANSFER_ENCODING": "Chunked", "wsgi.input_terminated": True}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_bodies, "MAX_BODY_BYTES", 20)
    monkeypatch.setattr(request_bodies, "MAX_DRAINED_BYTES", 100)
    monkeypatch.setattr(request_bodies, "CHUNK_BYTES", 10)


def test_a_chunked_body_is_read_as_any_other() -> None:
    assert ask(b"x" * 15, **CHUNKED) == ("15", b"x" * 9, 0)
    assert ask(b"", **CHUNKED) == ("0", b"", 0)


def test_a_chunked_body_that_is_too_large_is_known_as_such_and_taken_to_its_end() -> None:
    assert ask(b"x" * 90, **CHUNKED) == ("21", b"x" * 9, 0)


def test_a_chunked_body_that_breaks_off_is_known_to_lack_something() -> None:
    """Its client went away, or was too slow: as one with a length, it is refused in words."""

    class Cut(BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            raise NoMoreData

    seen: list[Any] = []

    def application(environ: dict[str, Any], _start: Any) -> Iterable[bytes]:
        seen.extend((environ["CONTENT_LENGTH"], environ["wsgi.input"].read()))
        return []

    RequestBodyMiddleware(application)({"wsgi.input": Cut(), **CHUNKED}, None)
    assert seen == ["1", b""]


def test_a_large_body_is_taken_after_the_answer_within_bounds() -> None:
    assert ask(b"x" * 90, CONTENT_LENGTH="90") == ("90", b"x" * 9, 0)
    assert ask(b"x" * 900, CONTENT_LENGTH="900")[2] == 900 - 9 - 100


def test_others_are_left_alone() -> None:
    assert ask(b"x" * 15, CONTENT_LENGTH="15") == ("15", b"x" * 9, 6)
    assert ask(b"x" * 15, HTTP_TRANSFER_ENCODING="chunked") == ("", b"x" * 9, 6)
    assert ask(b"x" * 15, CONTENT_LENGTH="many")[2] == 6
