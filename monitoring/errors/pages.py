"""The page of one error, its actions, and its latest event, which is fetched on demand."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.timesince import timesince
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from monitoring.errors import events, services
from monitoring.errors.models import ErrorIssue
from monitoring.errors.summary import bars, rectangles
from monitoring.sentry import Sentry
from portal.core.http import UpstreamError
from portal.core.links import logs_url, trace_url
from portal.core.lookups import row_or_404

# verb: (service, participle for the message)
VERBS: dict[str, tuple[Callable[..., services.Result], str]] = {
    "resolve": (services.resolve, "resolved"),
    "ignore": (services.ignore, "ignored"),
    "reopen": (services.reopen, "reopened"),
    "assign": (services.assign, "assigned"),
}
EVENT_TIMEOUT_SECONDS = 10.0
# Input that was rejected, so that it need not be typed again.
KEPT = "error_typed"


class ReasonForm(forms.Form):
    text = forms.CharField(
        label="Reason", max_length=1000, required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2})
    )  # fmt: skip


class AssignForm(forms.Form):
    to = forms.CharField(
        label="Assign to", max_length=200, required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "e-mail, user:ID or team:ID", "autocomplete": "off"}),
    )  # fmt: skip


def status_word(issue: ErrorIssue, *, at: datetime) -> str:
    """Return the most informative word for the current state of an issue."""
    if issue.gone_at is not None:
        return "Gone"
    if issue.is_regressed(at=at):
        return "Regressed"
    return "New" if issue.is_new(at=at) else issue.get_status_display()


def ago(moment: datetime) -> str:
    if timezone.now() - moment < timedelta(minutes=1):
        return "just now"
    return f"{timesince(moment, depth=1)} ago"


def issue_page(request: HttpRequest, issue_id: str, context: dict[str, Any]) -> HttpResponse:
    """Show an error with its numbers, its history, and the available actions."""
    related = ErrorIssue.objects.select_related("upstream", "service")
    issue = row_or_404(related, issue_id)
    now = timezone.now()
    kept = request.session.pop(KEPT, {})
    typed = kept if kept.get("issue") == issue.pk else {}
    points = [(datetime.fromtimestamp(at, UTC), count) for at, count in issue.trend]
    context |= {
        "title": str(issue),
        "original": issue,
        "issue": issue,
        "word": status_word(issue, at=now),
        "freshness": issue.upstream.freshness(at=now),
        "now": now,
        "transitions": list(issue.transitions.order_by("-at", "-id")[:50]),
        "trend": rectangles(bars(points)),
        "link": issue.permalink if issue.permalink.startswith(("http://", "https://")) else "",
        "may_act": request.user.has_perm("monitoring.change_errorissue"),
        "metadata": issue.raw.get("metadata")
        if isinstance(issue.raw.get("metadata"), dict)
        else {},
        "reason_form": ReasonForm(initial=typed),
        "assign_form": AssignForm(initial={"to": typed.get("to") or issue.assigned_to}),
    }
    return TemplateResponse(request, "monitoring/error.html", context)


def act(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """Apply one action to one error, and return to its page with a message."""
    if not request.user.has_perm("monitoring.change_errorissue"):
        raise PermissionDenied
    issue = get_object_or_404(ErrorIssue.objects.select_related("upstream"), pk=pk)
    back = HttpResponseRedirect(issue.get_absolute_url())
    service, word = VERBS[verb]
    text, to = request.POST.get("text", "")[:1000], request.POST.get("to", "")
    arguments = {"to": to} if verb == "assign" else {}
    try:
        result = service([issue], actor=request.user, text=text, **arguments)
    except (UpstreamError, ValidationError) as error:
        said = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
        messages.error(request, f"Nothing was changed. {said}")
        request.session[KEPT] = {"issue": issue.pk, "text": text, "to": to[:200]}
        return back
    level = messages.SUCCESS if result.changed else messages.WARNING
    messages.add_message(request, level, result.sentence(word))
    return back


def act_on_many(
    request: HttpRequest,
    issues: Sequence[ErrorIssue],
    verb: Callable[..., services.Result],
    word: str,
    most: int,
) -> None:
    """Apply one action to several errors; stop at the first one that Sentry refuses, and report it."""
    if len(issues) > most:
        messages.error(
            request, f"Select at most {most} errors: each one needs a request to Sentry."
        )
        return
    changed = unchanged = 0
    for issue in issues:
        try:
            result = verb([issue], actor=request.user)
        except UpstreamError as error:
            messages.error(request, f"{issue} and the following were not {word}. {error}")
            break
        changed, unchanged = changed + result.changed, unchanged + result.unchanged
    messages.success(
        request,
        services.Result(changed, unchanged, "unchanged: already in that state, or gone").sentence(
            word
        ),
    )


def event(request: HttpRequest, issue_id: int) -> HttpResponse:
    """Fetch the latest event from Sentry, and return its stack trace as part of the page."""
    if not request.user.has_perm("monitoring.view_errorissue"):
        raise PermissionDenied
    issue = get_object_or_404(ErrorIssue.objects.select_related("upstream"), pk=issue_id)
    try:
        with Sentry(issue.upstream, timeout_seconds=EVENT_TIMEOUT_SECONDS) as client:
            found = events.latest(client.latest_event(issue.issue_id))
            trend = _long_trend(client, issue)
    except UpstreamError as error:
        return render(request, "monitoring/error_event.html", {"sentence": str(error)})
    context = {"event": found, "trend": trend, **_trace_links(found.trace_id, issue)}
    return render(request, "monitoring/error_event.html", context)


def _trace_links(trace_id: str, issue: ErrorIssue) -> dict[str, str]:
    """Return the links to the trace of an event and to its log lines."""
    if not trace_id:
        return {}
    lines = logs_url(issue.last_seen_at, text=f'trace.id:"{trace_id}"')
    return {"trace_url": trace_url(trace_id), "trace_lines": lines}


def _long_trend(client: Sentry, issue: ErrorIssue) -> list[dict[str, Any]]:
    """Return the bars of 14 days; empty if the server does not provide them."""
    try:
        points = client.trend(issue.issue_id, "14d")
    except UpstreamError:
        return []
    return rectangles(bars((datetime.fromtimestamp(at, UTC), n) for at, n in points))
