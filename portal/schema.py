"""Adds OpenAPI details that all operations share: names, error responses, and CSV."""

from typing import Any

from drf_spectacular.openapi import AutoSchema

from portal.core.problems import CONTENT_TYPE

PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457: why a request was not carried out, in a sentence.",
    "properties": {
        "type": {"type": "string", "description": "Identifies the kind of problem, such as `…#problem-conflict`."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence."},
        "instance": {"type": "string", "description": "The path of the request."},
        "request_id": {"type": "string", "description": "The request id, as in the logs and the audit trail."},
        "trace_id": {"type": "string", "description": "The trace id, if the request was traced."},
        "errors": {"description": "Messages for each invalid field."},
    },
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
}  # fmt: skip
FAILURE = {
    "description": "The request failed; the document says why.",
    "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
CSV = {"schema": {"type": "string"}}


class PortalSchema(AutoSchema):
    """Names each operation after its view and action."""


def complete(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """Add the error responses to every operation, and CSV to each list."""
    result["components"]["schemas"]["Problem"] = PROBLEM
    for operation in _operations(result):
        responses = operation["responses"]
        responses["default"] = FAILURE
        if any(given["name"] == "format" for given in operation.get("parameters", ())):
            responses["200"].setdefault("content", {})["text/csv"] = CSV
    return result


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        operation
        for path in document["paths"].values()
        for operation in path.values()
        if isinstance(operation, dict) and "responses" in operation
    ]
