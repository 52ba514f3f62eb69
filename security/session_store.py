"""The session engine: a session is read together with its user and authenticator app, in one query."""

from typing import Any, cast

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.utils import timezone
from django_otp import DEVICE_ID_SESSION_KEY

from security.models import Session, TotpDevice

DEVICE_PREFIX = f"{TotpDevice._meta.label_lower}/"
# The seed is secret and costs a decryption; no request but the one that checks a code needs it.
_READ = Session.objects.select_related("user", "device").defer("device__seed")


class SessionStore(DatabaseStore):
    """Django's sessions in the database, with `row` as it was read (None for a new session)."""

    row: Session | None = None

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def _get_session_from_db(self) -> Session | None:
        live = _READ.filter(session_key=self.session_key, expire_date__gt=timezone.now())
        self.row = live.first()
        if self.row is None:
            self._session_key = None
        return self.row

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        row = cast(Session, super().create_model_instance(data))
        user, device = str(data.get(SESSION_KEY, "")), str(data.get(DEVICE_ID_SESSION_KEY, ""))
        row.user_id = int(user) if user.isdecimal() else None
        number = device.removeprefix(DEVICE_PREFIX)
        row.device_id = int(number) if number != device and number.isdecimal() else None
        return row
