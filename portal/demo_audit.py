"""Creates demonstration saved filters and searches, an export and a SIEM destination; nothing is sent."""

from datetime import datetime, timedelta
from hashlib import sha256

from django.contrib.auth import get_user_model

from audit import stream
from audit.export_models import ExportRecord, ExportState, SavedFilter
from monitoring.models import SavedSearch
from security.models import SiemDestination

FILTERS = {
    "Failed sign-ins, last day": {"group": "auth", "outcome": "failure", "last": "24h"},
    "What was refused": {"action": "permission.denied", "last": "7d"},
    "Changes of configuration": {"group": "config", "last": "30d"},
}
SEARCHES = {
    "Errors of checkout": {"service": "checkout", "level": "error,critical", "range": "24h"},
    "Time-outs, last hour": {"q": "timeout", "range": "1h"},
}
DEMO = "demo-3"


def seed(*, now: datetime) -> dict[str, int]:
    """Replace earlier demonstration rows; filters and searches belong to the first superuser, if any."""
    owner = get_user_model().objects.filter(is_superuser=True).order_by("pk").first()
    for model, kept in ((SavedFilter, FILTERS), (SavedSearch, SEARCHES)) if owner else ():
        for name, query in kept.items():
            model._default_manager.get_or_create(
                owner=owner, name=name, defaults={"query": query, "shared": True}
            )
    ExportRecord.objects.filter(requested_by=DEMO).delete()
    at = now - timedelta(hours=3)
    ExportRecord.objects.create(
        requested_by=DEMO, query={"group": "auth"}, state=ExportState.COMPLETED, estimated_rows=41_000, rows=41_283,
        bytes=15_402_118, sha256=sha256(b"demo").hexdigest(), created_at=at, started_at=at,
        finished_at=at + timedelta(seconds=2),
    )  # fmt: skip
    SiemDestination.objects.get_or_create(
        name="demo-siem",
        defaults={"url": "syslog+tls://siem.demo.invalid:6514", "enabled": False,
                  "txid": stream.horizon().txid, "cluster": stream.cluster()},
    )  # fmt: skip
    return {
        "saved filters": len(FILTERS) if owner else 0,
        "saved searches": len(SEARCHES) if owner else 0,
    }
