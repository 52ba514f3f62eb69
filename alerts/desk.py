"""The pages of one alert: its details, its actions, and the form to silence it."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from alerts import services, silences
from alerts.desk_forms import AssignForm, CommentForm, SilenceForm, TextForm
from alerts.explain import explain
from alerts.models import Alert
from portal.core.http import UpstreamError
from portal.core.lookups import row_or_404
from portal.core.matchers import Matcher

VERBS = ("acknowledge", "unacknowledge", "assign", "comment")
HISTORY_LENGTH = 10
PREVIEW_LENGTH = 20


def alert_page(request: HttpRequest, alert_id: str, context: dict[str, Any]) -> HttpResponse:
    """Show an episode with its labels, its history, and the available actions."""
    related = Alert.objects.select_related("upstream", "service", "assigned_to")
    alert = row_or_404(related, alert_id)
    earlier = Alert.objects.filter(alertname=alert.alertname, upstream=alert.upstream_id).exclude(
        pk=alert.pk
    )
    now = timezone.now()
    context |= {
        "title": alert.alertname,
        "original": alert,
        "alert": alert,
        "freshness": alert.upstream.freshness(at=now),
        "now": now,
        "transitions": list(alert.transitions.order_by("at", "id")),
        "earlier": list(earlier.order_by("-starts_at")[:HISTORY_LENGTH]),
        "silences": list(alert.upstream.silences.filter(silence_id__in=alert.silenced_by)),
        "explained": explain(alert, at=now),
        "chart_url": _web_link(alert.generator_url),
        "timeline_url": _timeline_url(alert),
        "may_act": request.user.has_perm("alerts.change_alert"),
        "acknowledge_form": TextForm(),
        "assign_form": AssignForm(initial={"user": alert.assigned_to_id}),
        "comment_form": CommentForm(),
    }
    return TemplateResponse(request, "alerts/alert.html", context)


def _timeline_url(alert: Alert) -> str:
    """Return the URL of the timeline up to the start of the alert, of its service if it has one."""
    until = {"until": f"{alert.starts_at:%Y-%m-%dT%H:%M:%S}"}
    of = {"service": alert.service.slug} if alert.service else {}
    return f"{reverse('admin:timeline')}?{urlencode(of | until)}"


def _web_link(url: str) -> str:
    """Return `url` if it is a web link; an upstream may send any text, such as a script."""
    return url if url.startswith(("http://", "https://")) else ""


def act(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """Apply one action to one alert, and return to its page with a message."""
    if not request.user.has_perm("alerts.change_alert"):
        raise PermissionDenied
    alert = get_object_or_404(Alert, pk=pk)
    try:
        level, sentence = _perform(request, alert, verb)
    except ValidationError as error:
        level, sentence = messages.ERROR, " ".join(error.messages)
    messages.add_message(request, level, sentence)
    return HttpResponseRedirect(reverse("admin:alerts_alert_change", args=[alert.pk]))


def _perform(request: HttpRequest, alert: Alert, verb: str) -> tuple[int, str]:
    text = request.POST.get("text", "")
    if verb == "acknowledge":
        result, done = services.acknowledge([alert], actor=request.user, text=text), "acknowledged"
    elif verb == "unacknowledge":
        result, done = (
            services.unacknowledge([alert], actor=request.user, text=text),
            "no longer acknowledged",
        )
    elif verb == "assign":
        form = AssignForm(request.POST)
        if not form.is_valid():
            return messages.ERROR, "Select a person from the list."
        user = form.cleaned_data["user"]
        result, done = (
            services.assign([alert], to=user, actor=request.user),
            f"assigned to {user or 'nobody'}",
        )
    else:
        result, done = services.comment([alert], text=text, actor=request.user), "commented"
    return (messages.SUCCESS if result.changed else messages.WARNING), result.sentence(done)


def silence_page(request: HttpRequest, alert_id: str, context: dict[str, Any]) -> HttpResponse:
    """Show the form for matchers, duration and reason, with a preview of the alerts the silence would hit."""
    if not request.user.has_perm("alerts.add_silence"):
        raise PermissionDenied
    alert = get_object_or_404(Alert.objects.select_related("upstream"), pk=alert_id)
    lines = "\n".join(map(str, services.matchers_of(alert)))
    form = SilenceForm(request.POST or None, initial={"matchers": lines})
    form.fields["comment"].required = "preview" not in request.POST
    hit: list[Matcher] | None = services.matchers_of(alert)
    if request.method == "POST":
        if form.is_valid() and "preview" not in request.POST:
            done = _silence(request, alert, form)
            if done:
                return done
        hit = form.cleaned_data.get("matchers")  # previewed even without a reason
    count, shown = silences.preview(alert.upstream, hit, most=PREVIEW_LENGTH) if hit else (0, [])
    context |= {
        "title": f"Silence {alert.alertname}",
        "alert": alert,
        "form": form,
        "is_readable": bool(hit),
        "hit_count": count,
        "hit": shown,
    }
    return TemplateResponse(request, "alerts/silence.html", context)


def _silence(request: HttpRequest, alert: Alert, form: SilenceForm) -> HttpResponse | None:
    """Create the silence, and redirect to the alert; None means that the form has an error to show."""
    data = form.cleaned_data
    try:
        made = services.silence(
            alert,
            duration=data["duration"],
            comment=data["comment"],
            matchers=data["matchers"],
            actor=request.user,
        )
    except ValidationError as error:
        form.add_error(None, error.messages)
        return None
    except UpstreamError as error:
        form.add_error(None, f"No silence was created. {error}")
        return None
    messages.success(
        request,
        f"Silenced until {made.ends_at:%Y-%m-%d %H:%M} UTC. Alertmanager lists it within seconds.",
    )
    return HttpResponseRedirect(reverse("admin:alerts_alert_change", args=[alert.pk]))
