"""Renders API errors as RFC 9457 `application/problem+json`, and parses JSON without ever failing with 500."""

import json
import logging
import math
import re
from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from psycopg.errors import ForeignKeyViolation, UniqueViolation
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rest_framework import exceptions, status
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from portal.core import request_context

log = logging.getLogger(__name__)
CONTENT_TYPE = "application/problem+json"
MAX_BODY_BYTES = 10 * 1024 * 1024
# Valid in JSON, but PostgreSQL cannot store them: NUL, and half of a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Conflict(exceptions.APIException):
    """The request is well formed, but the state of the object does not allow it."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "The state of the object does not allow this."
    default_code = "conflict"


class UpstreamFailed(exceptions.APIException):
    """A request to an upstream failed; the detail is the message of its error.

    It is not a 5xx: alerts, probes and retries take those to mean that the portal itself is broken.
    """

    status_code = status.HTTP_424_FAILED_DEPENDENCY
    default_detail = "A request to an upstream server failed."
    default_code = "upstream_failed"

    def __init__(self, detail: str, *, retry_at: datetime | None = None) -> None:
        super().__init__(detail)
        if retry_at is not None:
            self.wait = max(1, round((retry_at - timezone.now()).total_seconds()))


class Unavailable(exceptions.APIException):
    """PostgreSQL or Redis is unavailable; the same request works once it is back."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = (
        "The portal's database or Redis cannot be reached. Try again later; /readyz says which one."
    )
    default_code = "unavailable"
    wait = 5


class TooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = (
        f"The body is larger than {MAX_BODY_BYTES // 1024 // 1024} MB. Send it in parts."
    )
    default_code = "too_large"


PLACE_TO_FILL_IN = re.compile(r' *"?\{\w+\}"?')
# Since the check, another request created the same row, or deleted one that this request refers to.
RACES = (UniqueViolation, ForeignKeyViolation)
OUTAGES = (OperationalError, InterfaceError, RedisConnectionError, RedisTimeoutError)


def body(title: str, code: int, detail: str, kind: str, errors: Any = None) -> dict[str, Any]:
    """Return a problem document; `errors` maps each invalid field to its messages."""
    context = request_context.current()
    document: dict[str, Any] = {
        "type": f"/api/v1/docs/#problem-{kind}",
        "title": title,
        "status": code,
        "detail": detail,
    }
    document |= {"instance": context.url_path, "request_id": context.request_id}
    if context.trace_id:
        document["trace_id"] = context.trace_id
    if errors is not None:
        document["errors"] = errors
    return document


def _first_sentence(detail: Any) -> str:
    if isinstance(detail, dict):
        name, value = next(iter(detail.items()))
        return (
            _first_sentence(value)
            if name in ("detail", "non_field_errors")
            else f"{name}: {_first_sentence(value)}"
        )
    if isinstance(detail, list):
        return next((_first_sentence(item) for item in detail if item), "The request is not valid.")
    return str(detail)


def problem_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Convert an exception of a view into a problem; None lets Django answer 500."""
    if isinstance(error, Http404):
        error = exceptions.NotFound("There is no object with this name or id.")
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    elif isinstance(error, ModelValidationError):
        error = exceptions.ValidationError(
            error.message_dict if hasattr(error, "error_dict") else error.messages
        )
    elif isinstance(error, IntegrityError) and isinstance(error.__cause__, RACES):
        log.warning("A request lost a race: %s", error)
        error = Conflict(
            "Another request changed the same object at the same time. Read it again, then repeat this request."
        )
    elif isinstance(error, DataError):
        log.warning("The database refused a value of the request: %s", error)
        error = exceptions.ParseError(
            "A value in the request cannot be stored. Check its length and range."
        )
    elif isinstance(error, OUTAGES):
        log.error("A request failed because PostgreSQL or Redis is unavailable: %s", error)
        error = Unavailable()
    if not isinstance(error, exceptions.APIException):
        return None
    # For the log line. Validation errors are left out of the log, because they may repeat the body.
    if error.status_code in (401, 403) and (request := context.get("request")) is not None:
        request._request.refused_because = _first_sentence(error.detail)
    return _answer(error)


class Problem(Response):
    """A problem document: always JSON, whatever format the view would have used."""

    @property
    def rendered_content(self) -> str:
        self["Content-Type"] = CONTENT_TYPE
        return str(JSONRenderer().render(self.data), "utf-8")


def _answer(error: exceptions.APIException) -> Response:
    headers = {}
    if header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = header
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait))
    fields = error.detail if isinstance(error, exceptions.ValidationError) else None
    # Some of DRF's default messages contain placeholders, which a title has no values for.
    title = PLACE_TO_FILL_IN.sub("", str(error.default_detail or "Invalid"))
    document = body(
        title.rstrip("."),
        error.status_code,
        _first_sentence(error.detail),
        error.default_code,
        fields,
    )
    return Problem(document, status=error.status_code, headers=headers)


def response(title: str, code: int, detail: str, kind: str) -> HttpResponse:
    """Return a problem for code outside DRF, such as for an unknown path under /api/."""
    return JsonResponse(body(title, code, detail, kind), status=code, content_type=CONTENT_TYPE)


def read_body(request: HttpRequest, limit: int = MAX_BODY_BYTES) -> bytes:
    """Return the whole request body. Raises TooLarge beyond `limit`, ParseError when it is incomplete."""
    length = str(request.META.get("CONTENT_LENGTH") or "0")
    if length.isdigit() and int(length[:18]) > limit:
        raise TooLarge
    try:
        content = request.read(limit + 1)
    except OSError as error:
        raise exceptions.ParseError(
            "The body ended before it was complete. Send it again."
        ) from error
    if len(content) > limit:
        raise TooLarge
    if length.isdigit() and len(content) < int(length[:18]):
        raise exceptions.ParseError("The body ended before it was complete. Send it again.")
    return bytes(content)


def decode_json(content: bytes, *, strict: bool = True) -> Any:
    """Return the decoded JSON. Raises ParseError if Python or, when `strict`, PostgreSQL cannot represent it."""

    def refuse(word: str) -> Any:
        if strict:
            raise ValueError(f"{word} is not a JSON number")
        return float("nan")

    def finite(written: str) -> float:
        value = float(written)
        return value if math.isfinite(value) else refuse(written[:50])

    try:
        text = content.decode("utf-8")
        decoded = json.loads(text, parse_constant=refuse, parse_float=finite)
        if strict and "\\u" in text and _is_unstorable(decoded):
            raise ValueError("a string contains NUL or half of a surrogate pair")
        return decoded
    except UnicodeDecodeError as error:
        raise exceptions.ParseError("The body is not UTF-8.") from error
    except RecursionError as error:
        raise exceptions.ParseError("The JSON is nested too deeply.") from error
    except ValueError as error:
        raise exceptions.ParseError(f"The body is not valid JSON: {str(error)[:200]}.") from error


def _is_unstorable(value: Any) -> bool:
    """True when any string in a decoded JSON value contains a character that PostgreSQL rejects."""
    if isinstance(value, str):
        return bool(_UNSTORABLE.search(value))
    if isinstance(value, dict):
        return any(_is_unstorable(key) or _is_unstorable(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_is_unstorable, value))


class StrictJSONParser(BaseParser):
    """Parses a JSON body within the size limit; every failure is a 4xx problem."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return decode_json(read_body(stream))


class LenientJSONParser(StrictJSONParser):
    """Also accepts what PostgreSQL cannot store (NUL, half surrogates, NaN), for views that sanitise each item."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return decode_json(read_body(stream), strict=False)
