"""`GET /api/v1/docs/`: the API as pages one can browse and try, drawn by Swagger UI from our own files."""

from typing import Any

from csp.constants import SELF
from csp.decorators import csp_replace
from django.utils.decorators import method_decorator
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.request import Request

# Swagger UI adds style elements, which the CSP forbids everywhere else; scripts are allowed no more than elsewhere.
STYLES = {"style-src": [SELF, "'unsafe-inline'"]}


@method_decorator(csp_replace(STYLES), name="dispatch")
class DocsView(SpectacularSwaggerSplitView):
    """Anyone may look, as at the schema; trying a call needs a token or the admin's session."""

    permission_classes = (AllowAny,)
    authentication_classes: tuple[Any, ...] = ()
    url_name = "schema"
    template_name = "portal/api_docs.html"


class ByFormat(DefaultContentNegotiation):
    """Lets `?format=json` or `yaml` choose what an Accept header would."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        wanted = format_suffix or request.query_params.get("format")
        return super().select_renderer(request, renderers, wanted)


class SchemaView(SpectacularAPIView):
    """The OpenAPI schema, as YAML or as JSON; open to all."""

    content_negotiation_class = ByFormat
