"""Lists the models whose changes django-auditlog records field by field; an allow-list, never "everything"."""

from auditlog.registry import auditlog
from django.apps import apps

from portal.core.crypto import fingerprint

# model: fields left out of the diff, because they change automatically or contain a secret.
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
CHECK_STATE = [
    "next_run_at",
    "lease_until",
    "last_run_at",
    "status",
    "since",
    "sentence",
    "latency_seconds",
    "pending_count",
    "certificate_ends_at",
]
SIEM_STATE = [
    "txid",
    "entry_id",
    "cluster",
    "sent",
    "sent_at",
    "error",
    "failures",
    "failing_since",
    "not_before",
    "lease_until",
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
    "monitoring.Check": CHECK_STATE,
    "monitoring.ScrapeTarget": [],
    "monitoring.Rule": ["accepted_at", "loaded_state", "loaded_error"],
    "security.SiemDestination": SIEM_STATE,
    "auth.User": ["last_login", "password"],
    "auth.Group": [],
}
RELATIONS: dict[str, set[str]] = {
    "auth.User": {"groups", "user_permissions"},
    "auth.Group": {"permissions"},
    "alerts.Route": {"channels"},
}
MASKED: dict[str, list[str]] = {
    "core.Upstream": ["credentials"],
    "monitoring.Check": ["headers"],
    "security.SiemDestination": ["token"],
}


def masked(value: str) -> str:
    """Return what the diff shows for a secret: whether there is one, and whether it has changed.

    auditlog's own mask leaves the second half of the value readable.
    """
    return f"[secret {fingerprint('diff', value)[:8]}]" if value not in ("", "{}", "None") else ""


def register_all() -> None:
    for label, excluded in TRACKED.items():
        model = apps.get_model(label)
        auditlog.register(
            model,
            # Listed explicitly, because by default auditlog also diffs rows that refer to this one.
            include_fields=[f.name for f in model._meta.concrete_fields if f.name not in excluded],
            mask_fields=MASKED.get(label, []),
            mask_callable="audit.tracked.masked",
            m2m_fields=RELATIONS.get(label, set()),
        )
