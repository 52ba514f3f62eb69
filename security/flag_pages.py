"""The pages of a flag and of a rule, and the actions on them."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from portal.core.lookups import row_or_404
from security import blocks, flag_services, flags, replay, rule_settings, stepup, subjects
from security.models import Block, BlockOrigin, Flag, RuleSetting, SubjectKind
from security.rules.engine import RULES
from security.threat_forms import (
    RANGES,
    AssignForm,
    BlockSubjectForm,
    DecideForm,
    ReplayForm,
    RuleForm,
)

RELATED = 10
REPLAY_SHOWN = 100
VERBS = ("confirm", "dismiss", "assign", "block")


def flag_page(request: HttpRequest, flag_id: str, context: dict[str, Any]) -> HttpResponse:
    """Show a flag with its evidence, what else is known about its subject, and the available actions."""
    flag = row_or_404(Flag.objects.select_related("assigned_to"), flag_id)
    related = Flag.objects.of_subject(flag.subject_kind, flag.subject).exclude(pk=flag.pk)
    now = timezone.now()
    sees_trail = request.user.has_perm("audit.view_auditentry")
    context |= {
        "title": flag.title,
        "original": flag,
        "flag": flag,
        "rule": RULES.get(flag.rule),
        "evidence": [_shown(fact, whole=sees_trail) for fact in reversed(flag.evidence)],
        "sees_trail": sees_trail,
        "services": flag_services.of(flag),
        "sees_services": request.user.has_perm("core.view_service"),
        "related": list(related[:RELATED]),
        "active_blocks": list(_blocks_of(flag).active(at=now)[:RELATED]),
        "may_act": request.user.has_perm("security.change_flag"),
        "may_block": request.user.has_perm("security.add_block"),
        "decide_form": DecideForm(),
        "assign_form": AssignForm(initial={"user": flag.assigned_to_id}),
        "block_form": BlockSubjectForm(),
    }
    return TemplateResponse(request, "security/flag.html", context)


def _shown(fact: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    """Return the visible facts of an entry: only its time, as in the API, for accounts that may not read the trail."""
    at = datetime.fromisoformat(fact["at"])
    return {**fact, "at": at} if whole else {"at": at}


def _blocks_of(flag: Flag) -> Any:
    return Block.objects.filter(kind=flag.subject_kind, value=flag.subject) | Block.objects.filter(
        flag=flag
    )


def act(request: HttpRequest, flag_id: int, verb: str) -> HttpResponse:
    """Apply one action to one flag, and return to its page with a message."""
    needed = "security.add_block" if verb == "block" else "security.change_flag"
    if verb not in VERBS or not request.user.has_perm(needed):
        raise PermissionDenied
    flag = get_object_or_404(Flag, pk=flag_id)
    if verb == "block" and not stepup.is_recent(request):
        return stepup.challenge(request, back=flag.get_absolute_url())
    try:
        level, sentence = _perform(request, flag, verb)
    except ValidationError as error:
        level, sentence = messages.ERROR, " ".join(error.messages)
    messages.add_message(request, level, sentence)
    return HttpResponseRedirect(flag.get_absolute_url())


def _perform(request: HttpRequest, flag: Flag, verb: str) -> tuple[int, str]:
    reason = request.POST.get("reason", "")[:1000]
    if verb == "block":
        return _block(request, flag)
    if verb == "confirm":
        result, done = flags.confirm([flag], actor=request.user, reason=reason), "confirmed"
    elif verb == "dismiss":
        result, done = flags.dismiss([flag], actor=request.user, reason=reason), "dismissed"
    else:
        form = AssignForm(request.POST)
        if not form.is_valid():
            return messages.ERROR, "Select a person from the list."
        user = form.cleaned_data["user"]
        result, done = (
            flags.assign([flag], to=user, actor=request.user),
            f"assigned to {user or 'nobody'}",
        )
    return (messages.SUCCESS if result.changed else messages.WARNING), result.sentence(done)


def _block(request: HttpRequest, flag: Flag) -> tuple[int, str]:
    form = BlockSubjectForm(request.POST)
    if not form.is_valid():
        return messages.ERROR, "Select a duration from the list."
    until = timezone.now() + form.cleaned_data["duration"]
    subject = subjects.Subject(flag.subject_kind, flag.subject, flag.subject_name)
    if flag.subject_kind == SubjectKind.ADDRESS:
        subject = subjects.parse(flag.subject_kind, flag.subject)
    try:
        made = blocks.create(
            subject, expires_at=until, reason=f"{flag.title}: {flag.sentence}", actor=request.user,
            origin=BlockOrigin.HAND, flag=flag,
        )  # fmt: skip
    except blocks.SelfBlockError as error:
        return messages.ERROR, f"{error} To block yourself, use the page Blocks."
    return messages.SUCCESS, f"{made} is blocked until {until:%Y-%m-%d %H:%M} UTC."


def rule_page(
    request: HttpRequest, setting: RuleSetting, context: dict[str, Any], *, may_change: bool
) -> HttpResponse:
    """Show a rule with its thresholds; save them, or replay history with them without saving."""
    form = RuleForm(setting, request.POST or None)
    replay_form = ReplayForm(request.POST if "replay" in request.POST else None)
    context |= {"title": setting.spec.title, "original": setting, "setting": setting, "rule": setting.spec,
                "form": form, "replay_form": replay_form, "may_change": may_change,
                "record": rule_settings.records().get(setting.rule, rule_settings.Record())}  # fmt: skip
    if request.method == "POST" and form.is_valid():
        if "replay" in request.POST and replay_form.is_valid():
            if not may_change:  # a replay takes the server seconds
                raise PermissionDenied
            context |= _replay(setting, form, replay_form.cleaned_data["days"])
        elif "save" in request.POST and may_change:
            return _save(request, setting, form)
    return TemplateResponse(request, "security/rule.html", context)


def _replay(setting: RuleSetting, form: RuleForm, days: str) -> dict[str, Any]:
    length, now = {key: number for key, _label, number in RANGES}[days], timezone.now()
    thresholds = {**setting.spec.defaults, **form.thresholds()}
    try:
        done = replay.replay(
            since=now - timedelta(days=length), until=now, rules=[setting.rule], thresholds={setting.rule: thresholds},
        )  # fmt: skip
    except replay.ReplayBusyError as error:
        return {"replay_refused": str(error)}
    rows = [
        {"finding": f, "first_at": datetime.fromtimestamp(f.first_at, now.tzinfo),
         "last_at": datetime.fromtimestamp(f.last_at, now.tzinfo)}
        for f in done.findings[:REPLAY_SHOWN]
    ]  # fmt: skip
    shown = {"events": done.events, "count": len(done.findings), "rows": rows, "is_truncated": done.is_truncated,
             "label": {key: label for key, label, _ in RANGES}[days]}  # fmt: skip
    return {"replay": shown}


def _save(request: HttpRequest, setting: RuleSetting, form: RuleForm) -> HttpResponse:
    given = {name: form.cleaned_data[name] for name in ("enabled", "block_minutes")}
    changed = rule_settings.change(
        setting, actor=request.user, **given, thresholds=form.thresholds()
    )
    said = "Saved; the rules use it from their next run." if changed else "Nothing was changed."
    messages.success(request, said)
    return HttpResponseRedirect(reverse("admin:security_rulesetting_changelist"))
