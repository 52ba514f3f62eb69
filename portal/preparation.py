"""Prepares the database and `var/` before the portal serves requests; each step can be repeated."""

import os
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from audit import partitions
from portal import managed_upstreams
from portal.core.request_context import Actor
from portal.health import pending_migrations
from security import enrolment, tokens
from security.models import ApiToken, Scope, TotpDevice

WEBHOOK_USER = "alertmanager"
WEBHOOK_TOKEN_NAME = "alertmanager-webhook"  # noqa: S105 - the name of one
PREPARING = Actor("system", "", "manage.py prepare")


def migrate() -> str:
    pending = pending_migrations()
    call_command("migrate", interactive=False, verbosity=0)
    # Before the first audit entry of this run: the previous run may have been months ago.
    partitions.ensure(at=timezone.now())
    return f"{pending} applied" if pending else "none pending, checked"


def collect_static_files() -> str:
    """Collect the static files unless those of this version are already there, because it takes seconds."""
    root = Path(settings.STATIC_ROOT)
    stamp = root / ".collected"
    wanted = _static_version()
    if stamp.exists() and stamp.read_text() == wanted:
        return "unchanged, checked"
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(wanted)
    return f"{sum(1 for path in root.rglob('*') if path.is_file())} files"


def _static_version() -> str:
    """Return a text that changes when a static file of ours or of a package may have changed."""
    folders = [Path(config.path) / "static" for config in apps.get_app_configs()]
    folders += [Path(folder) for folder in settings.STATICFILES_DIRS]
    newest, count = 0, 0
    for folder in folders:
        for parent, _folders, names in os.walk(folder):
            count += len(names)
            newest = max(newest, *(os.stat(Path(parent) / n).st_mtime_ns for n in names), 0)
    return f"{settings.VERSION} {count} {newest}"


def register_upstreams() -> str:
    managed_upstreams.synchronise()
    names = ", ".join(managed_upstreams.desired())
    return f"{names} registered" if names else ""


@transaction.atomic
def keep_webhook_token() -> str:
    """Keep one valid token for Alertmanager's webhook in `var/secrets`; create it if needed."""
    path = settings.VAR_DIR / "secrets" / "alertmanager_webhook"
    if path.exists():
        kept = tokens.hashed(path.read_text().strip())
        if ApiToken.objects.usable(at=timezone.now()).filter(token_hash=kept).exists():
            return ""
    user, created = User.objects.get_or_create(username=WEBHOOK_USER)
    if created:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    _token, written = tokens.create(
        user=user, name=WEBHOOK_TOKEN_NAME, scopes=[Scope.ALERTS_WRITE], actor=PREPARING
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.write_text(written)
    return "created for Alertmanager"


def first_administrator_link() -> str:
    """Return an enrolment link as long as nobody can sign in as administrator, else nothing."""
    able = TotpDevice.objects.filter(confirmed=True, user__is_superuser=True, user__is_active=True)
    if able.exists():
        return ""
    return enrolment.make_link("admin", create=True, superuser=True, actor=PREPARING)
