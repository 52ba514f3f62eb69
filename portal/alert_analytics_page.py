"""Page of alert analytics in the admin: which rules, services and teams make noise, and how soon people respond."""

from collections.abc import Mapping

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from alerts.analytics import DEFAULT_GROUP, DEFAULT_WINDOW, GROUPS, WINDOWS, report
from portal.core.models import Service

PERMISSION = "alerts.view_alert"
SHOWN = 200
LABELS = {"window": "Window", "group_by": "By"}


def alert_analytics(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    window = _one_of(request, "window", WINDOWS, DEFAULT_WINDOW)
    group_by = _one_of(request, "group_by", GROUPS, DEFAULT_GROUP)
    slug = request.GET.get("service", "")
    services = dict(Service.objects.in_order().values_list("slug", "name"))
    if slug and slug not in services:
        messages.error(
            request, f"There is no service {slug[:100]!r}; alerts of all services are shown."
        )
        slug = ""
    context = {
        **admin.site.each_context(request),
        "title": "Alert analytics",
        "report": report(
            at=timezone.now(), window=window, group_by=group_by, service=slug, most=SHOWN
        ),
        "windows": WINDOWS,
        "groups": GROUPS,
        "services": services.items(),
        "chosen": {"window": window, "group_by": group_by, "service": slug},
    }
    return TemplateResponse(request, "portal/alert_analytics.html", context)


def _one_of(request: HttpRequest, name: str, choices: Mapping[str, object], default: str) -> str:
    """Return the chosen value; report an unknown one and return the default."""
    wanted = request.GET.get(name, default)
    if wanted in choices:
        return wanted
    messages.error(request, f"{LABELS[name]} has no choice {wanted[:50]!r}: {default} is shown.")
    return default
