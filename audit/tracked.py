"""Which models are diffed field by field, by django-auditlog; an allow-list, never "everything"."""

from auditlog.registry import auditlog
from django.apps import apps

# model: fields left out of the diff, because they change by themselves or hold a secret.
FRESHNESS = [
    "next_run_at",
    "lease_until",
    "attempted_at",
    "succeeded_at",
    "success_streak_since",
    "duration_seconds",
    "error",
    "error_since",
    "warning",
    "clock_skew_seconds",
    "settling_since",
    "settling_reason",
    "observed",
]
TRACKED: dict[str, list[str]] = {
    "core.Upstream": FRESHNESS,
    "core.Service": [],
    "monitoring.Panel": [],
    "alerts.Channel": [
        "url",
        "lease_until",
        "not_before",
        "failures",
        "failing_since",
        "error",
        "sent_at",
    ],
    "alerts.Route": [],
    "auth.User": ["last_login", "password"],
    "auth.Group": [],
}
RELATIONS: dict[str, set[str]] = {
    "auth.User": {"groups", "user_permissions"},
    "auth.Group": {"permissions"},
    "alerts.Route": {"channels"},
}
MASKED: dict[str, list[str]] = {"core.Upstream": ["credentials"]}


def register_all() -> None:
    for label, excluded in TRACKED.items():
        auditlog.register(
            apps.get_model(label),
            exclude_fields=excluded,
            mask_fields=MASKED.get(label, []),
            m2m_fields=RELATIONS.get(label, set()),
        )
