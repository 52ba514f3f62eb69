"""Page of the doctor in the admin: a button that examines everything now, and the findings."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from portal.doctor.examination import examine
from portal.doctor.findings import ORDER, Level

PERMISSION = "core.change_upstream"
LABELS = {Level.FAIL: "Failed", Level.WARN: "Warnings", Level.OK: "OK"}
COLOURS = {Level.FAIL: "down", Level.WARN: "degraded", Level.OK: "up"}


def doctor(request: HttpRequest) -> HttpResponse:
    """Examine on POST only: it contacts every server, which following a link must not do."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    findings = examine() if request.method == "POST" else None
    groups = []
    for level in ORDER if findings is not None else ():
        members = [finding for finding in findings or () if finding.level is level]
        groups.append({"label": LABELS[level], "colour": COLOURS[level], "findings": members})
    context = {**admin.site.each_context(request), "title": "Doctor", "groups": groups}
    return TemplateResponse(request, "portal/doctor.html", context)
