"""Adds OpenAPI details that all operations share: summaries, error responses, and CSV."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import get_doc

from portal.core.problems import CONTENT_TYPE

PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "Problem details (RFC 9457) of a failed request.",
    "properties": {
        "type": {"type": "string", "description": "URI of the problem type, for example `…#problem-conflict`."},
        "title": {"type": "string", "description": "Name of the problem type."},
        "status": {"type": "integer", "description": "HTTP status code."},
        "detail": {"type": "string", "description": "What happened, why, and what to do."},
        "instance": {"type": "string", "description": "Path of the request."},
        "request_id": {"type": "string", "description": "Request id, also in the logs and the audit trail."},
        "trace_id": {"type": "string", "description": "Trace id, if the request was traced."},
        "errors": {"description": "Error messages by field; only with status 400."},
    },
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
}  # fmt: skip
FAILURE = {
    "description": "The request failed. `detail` says why.",
    "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
CSV = {"schema": {"type": "string"}}
VOWELS = "aeiouA"  # "an API token"
SUMMARIES = {
    "list": "List {many}",
    "create": "Create {one}",
    "retrieve": "Get {one}",
    "update": "Replace {one}",
    "partial_update": "Update {one}",
    "destroy": "Delete {one}",
}


class PortalSchema(AutoSchema):
    """Gives every operation a summary: the first sentence of its method, or its action and model."""

    def get_summary(self) -> str | None:
        verb = getattr(self.view, "action", self.method.lower())
        text = get_doc(getattr(self.view, verb, None)) or self._of_model(verb)
        text = text or get_doc(type(self.view))
        return text.split("\n")[0].split(". ")[0].rstrip(".") or None

    def _of_model(self, verb: str) -> str:
        queryset = getattr(self.view, "queryset", None)
        if queryset is None or verb not in SUMMARIES:
            return ""
        names = queryset.model._meta
        article = "an" if names.verbose_name[0] in VOWELS else "a"
        one, many = f"{article} {names.verbose_name}", names.verbose_name_plural
        return SUMMARIES[verb].format(one=one, many=many)


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
