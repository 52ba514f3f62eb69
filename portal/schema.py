"""OpenAPI details that every operation shares."""

from drf_spectacular.openapi import AutoSchema


class PortalSchema(AutoSchema):
    """Names operations after view and action."""
