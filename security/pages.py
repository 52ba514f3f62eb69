"""Helpers that the sign-in pages share: rendering in the admin's layout, the 429 page, and safe `next` links."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from security.limits import LimitedError

MAX_NEXT = 2000


def render(
    request: HttpRequest, template: str, *, status: int = 200, **context: Any
) -> HttpResponse:
    """Render `security/<template>.html`; these pages must not be cached, not even by the browser."""
    context = {**admin.site.each_context(request), "site_url": "", **context}
    response = TemplateResponse(request, f"security/{template}.html", context, status=status)
    response["Cache-Control"] = "no-store"
    return response


def too_many(request: HttpRequest, error: LimitedError) -> HttpResponse:
    """Answer 429 with the time to wait, in words and as `Retry-After`."""
    minutes, seconds = divmod(error.wait, 60)
    wait = f"{minutes} min {seconds} s" if minutes else f"{seconds} seconds"
    response = render(request, "limited", status=429, title="Too many attempts", wait=wait)
    response["Retry-After"] = str(error.wait)
    return response


def safe_next(request: HttpRequest) -> str:
    """Return `next` if it is a short URL on this host, else an empty string."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    usable = len(wanted) <= MAX_NEXT and url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if usable and reverse("admin:logout") not in wanted else ""


def home() -> str:
    return reverse("admin:index")
