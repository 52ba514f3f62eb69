"""Page of the timeline in the admin: events by day, with filters and links to older pages."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.utils.dateparse import parse_datetime

from portal.core.models import Service
from portal.core.timeline import Cursor, Slice
from portal.timeline import KINDS, STREAMS, Stream, page

PERMISSION = "alerts.view_alert"
PAGE_SIZE = 60
ICONS = {
    "alert": "notifications_active",
    "silence": "notifications_off",
    "status": "deployed_code",
    "deploy": "rocket_launch",
    "error": "bug_report",
    "flag": "flag",
    "audit": "history_edu",
}


def timeline(request: HttpRequest) -> HttpResponse:
    def allowed(stream: Stream) -> bool:
        return bool(request.user.has_perm(stream.permission))

    given = request.GET
    chosen = [kind for kind in given.getlist("kind") if kind in KINDS]
    named = _clean(given.get("service"))
    service = Service.objects.filter(slug=named).first() if named else None
    wanted = Slice(
        limit=PAGE_SIZE,
        before=_cursor(given.get("cursor")),
        since=_moment(given.get("since")),
        until=_moment(given.get("until")),
        service=service,
    )
    found = page(wanted, kinds=chosen, allowed=allowed)
    context = {
        **admin.site.each_context(request),
        "title": "Timeline",
        "events": [
            (STREAMS[e.stream].kind, ICONS[STREAMS[e.stream].kind], e) for e in found.events
        ],
        "hidden": [KINDS[kind].lower() for kind in found.hidden],
        "kinds": [(kind, label, not chosen or kind in chosen) for kind, label in KINDS.items()],
        "services": Service.objects.in_order().values_list("slug", "name"),
        "chosen": {
            "service": service.slug if service else "",
            "unknown": "" if service else named,
            "since": wanted.since,
            "until": wanted.until,
        },
        "wrong": _wrong(given, wanted),
        "older": _older(request, found.next),
        "is_first_page": wanted.before is None,
    }
    return TemplateResponse(request, "portal/timeline.html", context)


def _older(request: HttpRequest, cursor: Cursor | None) -> str:
    if cursor is None:
        return ""
    kept = [(k, v) for k, values in request.GET.lists() for v in values if k != "cursor"]
    return "?" + urlencode([*kept, ("cursor", cursor.written())])


def _wrong(given: QueryDict, wanted: Slice) -> list[str]:
    """Return a sentence for each invalid parameter of the URL."""
    said = [
        f"{label} could not be read and was left out. Write a time such as 2026-01-31T12:00."
        for name, label, found in (
            ("since", "“From”", wanted.since),
            ("until", "“Until”", wanted.until),
        )
        if given.get(name) and found is None
    ]
    if wanted.since and wanted.until and wanted.since >= wanted.until:
        said.append("“From” is not before “Until”, so nothing can match. Swap them.")
    if set(given.getlist("kind")) - set(KINDS):
        said.append(f"Some of the kinds are unknown. Available kinds: {', '.join(KINDS)}.")
    if given.get("cursor") and wanted.before is None:
        said.append("The position in this URL is invalid, so the newest page is shown.")
    return said


def _clean(text: str | None) -> str:
    return (text or "").replace("\0", "")[:100]


def _cursor(written: str | None) -> Cursor | None:
    """Return the cursor to continue from; None for an invalid one, which shows the newest page."""
    try:
        return Cursor.read(written) if written else None
    except ValueError:
        return None


def _moment(written: str | None) -> datetime | None:
    """Return a time from the browser's field or in ISO 8601, in UTC; None when it is invalid."""
    try:
        found: Any = parse_datetime((written or "").replace(" ", "+"))
    except ValueError:
        return None
    if found is None:
        return None
    try:
        moment: datetime = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except OverflowError:
        return None
    return moment
