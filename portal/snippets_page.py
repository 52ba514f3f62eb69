"""Page on how to connect a service's application: snippets to copy, and a token created for it."""

from datetime import timedelta

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from portal.core.models import Service
from portal.snippets import DEPLOY, ENVIRONMENT, LANGUAGES, NO_TOKEN, Snippet, render
from security import one_time_secrets, tokens
from security.models import Scope
from security.scopes import grantable_scopes
from security.stepup import require_recent_auth

PERMISSION = "core.view_service"
LIFETIME = timedelta(days=90)
WANTED = (Scope.AUDIT_WRITE, Scope.MONITORING_WRITE)


def snippets(request: HttpRequest, slug: str) -> HttpResponse:
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    service = get_object_or_404(Service, slug=slug)
    if request.method == "POST":
        return make_token(request, service)
    shown = one_time_secrets.take(request.session, "token")
    token = str(shown.get("token") or NO_TOKEN)

    def filled(snippet: Snippet) -> tuple[Snippet, str]:
        return snippet, render(snippet, service, token=token)

    context = {
        **admin.site.each_context(request),
        "title": f"Connect {service.name}",
        "service": service,
        "settings_file": filled(ENVIRONMENT),
        "deploy": filled(DEPLOY),
        "languages": {name: [filled(s) for s in found] for name, found in LANGUAGES.items()},
        "has_token": token != NO_TOKEN,
        "scopes": _scopes(request),
    }
    page = TemplateResponse(request, "portal/snippets.html", context)
    page["Cache-Control"] = "no-store"
    return page


def _scopes(request: HttpRequest) -> list[Scope]:
    may_give = grantable_scopes(request.user)
    return [scope for scope in WANTED if scope in may_give]


@require_recent_auth()
def make_token(request: HttpRequest, service: Service) -> HttpResponse:
    """Create a token that may write audit entries and report deploys, and show it once on the page."""
    back = HttpResponseRedirect(reverse("admin:snippets", args=[service.slug]))
    scopes = _scopes(request)
    if not scopes or not request.user.has_perm("security.add_apitoken"):
        raise PermissionDenied
    try:
        _row, written = tokens.create(
            user=request.user,  # type: ignore[arg-type] # the page is closed to the anonymous
            name=service.slug,
            scopes=scopes,
            expires_at=timezone.now() + LIFETIME,
            service=service,
            actor=request.user,
        )
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return back
    one_time_secrets.put(request.session, token=written)
    return back
