"""Every form of the admin that adds a row: whatever is typed, it answers with a sentence at a field."""

import re
from typing import Any

import pytest
from django import forms
from django.contrib import admin
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse

from portal.core.formfields import MatchersField
from tests.factories import (
    make_channel,
    make_check,
    make_panel,
    make_route,
    make_rule,
    make_scrape_target,
    make_service,
    make_upstream,
    make_user,
    sign_in,
)

pytestmark = pytest.mark.django_db
RAW = re.compile(r"Constraint|Traceback|DETAIL|violates|Error\(|<class|object at 0x")
GARBAGE = {
    "nothing": "",
    "too-long": "x" * 12_000,
    "huge-number": "9" * 23,
    "negative": "-1",
    "no-number": "nan",
    "infinite": "1e400",
    "nul": "a\x00b",
    "broken-json": "{",
    "list-of-anything": '[1,{"a":[null]}]',
    "markup": "<b>(((\"'</b>",
    "broken-url": "http://[::1",
    "url-with-password": "http://u:p@h:99999/?q#f",
    "prefix-too-long": "10.0.0.0/99",
}


def _adding() -> list[type[Model]]:
    """Return the models whose rows people add."""
    request = RequestFactory().get("/")
    request.user = make_user()
    return [m for m, a in admin.site._registry.items() if a.has_add_permission(request)]


def _typed(page: Any, text: str) -> dict[str, Any]:
    """Return a POST of the form on `page` with `text` in every field, inlines included."""
    data: dict[str, Any] = {}
    for name, field in page.context["adminform"].form.fields.items():
        data[name] = "on" if isinstance(field, forms.BooleanField) and text else text
    for inline in page.context["inline_admin_formsets"]:
        formset = inline.formset
        data |= {f"{formset.prefix}-{n}_FORMS": int(bool(text)) for n in ("TOTAL",)}
        data |= {f"{formset.prefix}-{n}": 0 for n in ("INITIAL_FORMS", "MIN_NUM_FORMS")}
        data |= {f"{formset.prefix}-0-{name}": text for name in formset.empty_form.fields}
    return data


def _sentences(page: Any) -> list[str]:
    forms_of_page = [page.context["adminform"].form]
    forms_of_page += [f for i in page.context["inline_admin_formsets"] for f in i.formset.forms]
    return [str(said) for form in forms_of_page for all_ in form.errors.values() for said in all_]


@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE)
def test_garbage_in_every_field_is_refused_with_sentences(client: Client, text: str) -> None:
    sign_in(client)
    make_service(), make_upstream(kind="prometheus"), make_channel()
    models = _adding()
    for model in models:
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add")
        answer = client.post(url, _typed(client.get(url), text))
        assert answer.status_code == 200, f"{model._meta.label} took {text[:30]!r}"
        said = _sentences(answer)
        assert said, model._meta.label
        assert not [sentence for sentence in said if RAW.search(sentence)], model._meta.label
    assert len(models) > 12


@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE)
def test_garbage_in_a_form_that_changes_is_refused_and_kept(client: Client, text: str) -> None:
    sign_in(client)
    service = make_service()
    rows: list[Any] = [make_upstream(kind="prometheus"), make_check(service=service), make_panel()]
    rows += [service, make_channel(), make_route(), make_rule(), make_scrape_target(service)]
    for row in rows:
        url = row.get_absolute_url()
        answer = client.post(url, _typed(client.get(url), text))
        assert answer.status_code == 200, f"{row._meta.label} took {text[:30]!r}"
        assert not [sentence for sentence in _sentences(answer) if RAW.search(sentence)], row
        form = answer.context["adminform"].form
        lines = [name for name, field in form.fields.items() if isinstance(field, MatchersField)]
        assert {form[name].value() for name in lines} <= {text}
        assert form.errors, row


# What each form is valid with; SERVICE stands for the number of a service.
VALID: dict[str, dict[str, Any]] = {
    "core.upstream": {
        "name": "eu",
        "kind": "prometheus",
        "url": "http://h:9090",
        "interval_seconds": "15",
    },
    "core.service": {"name": "Shop", "slug": "shop", "labels": "{}"},
    "monitoring.check": {
        "service": "SERVICE", "name": "front", "kind": "http", "target": "https://h/", "method": "GET",
        "expected_status": "200-299", "expiry_warning_days": "21", "comparison": ">", "threshold": "0",
        "interval_seconds": "30", "timeout_seconds": "10", "failures_to_flip": "3", "successes_to_recover": "1",
        "severity": "critical",
    },
    "monitoring.panel": {
        "title": "CPU",
        "slug": "my-cpu",
        "promql": "up",
        "unit": "number",
        "position": "1",
    },
    "monitoring.scrapetarget": {
        "service": "SERVICE", "address": "h:9100", "scheme": "http", "metrics_path": "/metrics", "labels": "{}"
    },
    "alerts.route": {
        "name": "all", "position": "1", "group_wait_seconds": "30", "group_interval_seconds": "300",
        "repeat_interval_seconds": "14400", "quiet_zone": "UTC",
    },
    "audit.savedfilter": {"name": "mine", "query": "outcome=failure"},
    "monitoring.savedsearch": {"name": "mine", "query": "q=timeout"},
    "security.allowentry": {"kind": "address", "value": "192.0.2.1", "reason": "the office"},
    "security.block": {"kind": "address", "value": "192.0.2.1", "reason": "guessing", "duration": "4h"},
    "security.siemdestination": {
        "name": "siem",
        "url": "syslog+tcp://h:514",
        "format": "ecs",
        "max_bytes": "8192",
    },
    "security.apitoken": {"name": "ci", "scopes": "read", "lifetime": "90d"},
}  # fmt: skip
WRONG = [
    ("core.upstream", "interval_seconds", "0"),
    ("core.upstream", "interval_seconds", "86401"),
    ("core.upstream", "url", "http://h:0"),
    ("core.upstream", "options", '{"timeout_seconds": NaN}'),
    ("core.service", "tier", "0"),
    ("core.service", "tier", "6"),
    ("core.service", "labels", '{"team": 1}'),
    ("core.service", "labels", "[]"),
    ("core.service", "matchers", 'job=~"("'),
    ("core.service", "log_fields", "service.name"),
    ("core.service", "log_fields", "service.name=a\x00b"),
    ("core.service", "runbook_url", "javascript:alert(1)"),
    ("monitoring.check", "interval_seconds", "4"),
    ("monitoring.check", "timeout_seconds", "0"),
    ("monitoring.check", "timeout_seconds", "31"),
    ("monitoring.check", "failures_to_flip", "0"),
    ("monitoring.check", "successes_to_recover", "101"),
    ("monitoring.check", "degraded_after_seconds", "-1"),
    ("monitoring.check", "degraded_after_seconds", "10"),
    ("monitoring.check", "body_pattern", "("),
    ("monitoring.check", "target", "ftp://h/"),
    ("monitoring.check", "target", "http://169.254.169.254/"),
    ("monitoring.check", "new_headers", "no header"),
    ("monitoring.check", "service", "no number"),
    ("monitoring.panel", "alert_matchers", 'job=~"("'),
    ("monitoring.panel", "warning_above", "nan"),
    ("monitoring.scrapetarget", "address", "h"),
    ("monitoring.scrapetarget", "labels", '{"1a": "x"}'),
    ("alerts.route", "quiet_from", "22:00"),
    ("alerts.route", "quiet_zone", "Mars"),
    ("alerts.route", "repeat_interval_seconds", "0"),
    ("audit.savedfilter", "query", "source_ip=999"),
    ("audit.savedfilter", "query", "no_such_filter=1"),
    ("monitoring.savedsearch", "query", "level=loud"),
    ("security.allowentry", "value", "10.0.0.0/99"),
    ("security.block", "value", "999.1.1.1"),
    ("security.block", "value", "0.0.0.0/0"),
    ("security.siemdestination", "max_bytes", "10"),
    ("security.siemdestination", "url", "udp://h:514"),
    ("security.siemdestination", "ca_pem", "no certificate"),
    ("security.apitoken", "lifetime", "0d"),
    ("security.apitoken", "allowed_networks", "10.0.0.0/99"),
]
# The field that is told of, where it is another than the one that is wrong.
TOLD = {("alerts.route", "quiet_from"): "quiet_until"}


def _add(client: Client, label: str, **over: str) -> Any:
    app, model = label.split(".")
    url = reverse(f"admin:{app}_{model}_add")
    service = make_service().pk
    data = {name: service if value == "SERVICE" else value for name, value in VALID[label].items()}
    data |= {"scrape_targets-TOTAL_FORMS": 0, "scrape_targets-INITIAL_FORMS": 0, **over}
    return client.post(url, data)


@pytest.mark.parametrize("label", VALID)
def test_the_forms_take_what_is_right(client: Client, label: str) -> None:
    sign_in(client)
    assert _add(client, label).status_code == 302


@pytest.mark.parametrize(("label", "field", "text"), WRONG)
def test_a_wrong_entry_is_told_at_its_field_and_kept(
    client: Client, label: str, field: str, text: str
) -> None:
    sign_in(client)
    form = _add(client, label, **{field: text}).context["adminform"].form
    assert list(form.errors) == [TOLD.get((label, field), field)]
    assert not RAW.search(str(form.errors))
    assert form[field].value() == text


@pytest.mark.parametrize(
    ("label", "field", "text", "cure"),
    [
        ("core.service", "labels", "{", '{"team": "payments"}'),
        ("core.service", "repository_url", "git@host", "https://wiki.example.org/page"),
        ("alerts.route", "quiet_from", "late", "22:00"),
        ("alerts.route", "group_by", "x" * 201, "at most 200 characters each"),
        ("core.upstream", "options", "{", "in double quotes"),
    ],
)
def test_a_refusal_says_what_to_write(
    client: Client, label: str, field: str, text: str, cure: str
) -> None:
    sign_in(client)
    said = _add(client, label, **{field: text}).context["adminform"].form.errors[field]
    assert cure in said[0]


def test_a_critical_mark_below_the_warning_is_refused(client: Client) -> None:
    sign_in(client)
    answer = _add(client, "monitoring.panel", warning_above="90", critical_above="80")
    assert list(answer.context["adminform"].form.errors) == ["critical_above"]
