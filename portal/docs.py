"""`GET /api/v1/docs/`: the API as pages one can browse and try, drawn by Swagger UI from our own files."""

from typing import Any

from csp.constants import SELF
from csp.decorators import csp_replace
from django.utils.decorators import method_decorator
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny

# Swagger UI writes style elements, which are refused everywhere else; no script is allowed more.
STYLES = {"style-src": [SELF, "'unsafe-inline'"]}


@method_decorator(csp_replace(STYLES), name="dispatch")
class DocsView(SpectacularSwaggerSplitView):
    """Anyone may look, as at the schema; trying a call needs a token or the admin's session."""

    permission_classes = (AllowAny,)
    authentication_classes: tuple[Any, ...] = ()
    url_name = "schema"
    template_name = "portal/api_docs.html"
