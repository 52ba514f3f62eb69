"""Session engine that reads a session together with its user and authenticator app, in one query."""

from functools import cache
from typing import Any, cast

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db import connection, models
from django.utils import timezone
from django_otp import DEVICE_ID_SESSION_KEY

from security.models import Session, TotpDevice

DEVICE_PREFIX = f"{TotpDevice._meta.label_lower}/"
# The seed is secret and takes time to decrypt; only a request that checks a code needs it.
NOT_READ = frozenset(("seed",))


class SessionStore(DatabaseStore):
    """Django's database sessions, with the `row` that was read (None for a new session)."""

    row: Session | None = None

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def _get_session_from_db(self) -> Session | None:
        self.row = _read(str(self.session_key))
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


def _read(key: str) -> Session | None:
    """Return the live session of `key`, with its user and device.

    The SQL is written by hand, because every request with a session runs it, and the ORM takes longer to
    build the query than PostgreSQL takes to answer it.
    """
    with connection.cursor() as cursor:
        cursor.execute(_statement(), [key, timezone.now()])
        found = cursor.fetchone()
    if found is None:
        return None
    values = iter(found)
    session, user, device = (_made(model, values) for model in (Session, User, TotpDevice))
    session._state.fields_cache |= {"user": user, "device": device}
    return cast(Session, session)


def _made(model: type[models.Model], values: Any) -> Any:
    """Take the model's columns from `values`, and return the row; None if the join found none."""
    names = _names(model)
    own = [next(values) for _ in names]
    return None if own[0] is None else model.from_db("default", names, own)


@cache
def _names(model: type[models.Model]) -> list[str]:
    """Return the columns to read, in the order of the fields; the first is the primary key."""
    return [field.attname for field in model._meta.concrete_fields if field.name not in NOT_READ]


@cache
def _statement() -> str:
    tables = {"s": Session, "u": User, "d": TotpDevice}
    columns = [f'{alias}."{name}"' for alias, model in tables.items() for name in _names(model)]
    # Safe to interpolate: these are names of our own tables and columns.
    return (
        f"SELECT {', '.join(columns)} FROM {Session._meta.db_table} s"  # noqa: S608
        f" LEFT JOIN {User._meta.db_table} u ON u.id = s.user_id"
        f" LEFT JOIN {TotpDevice._meta.db_table} d ON d.id = s.device_id"
        " WHERE s.session_key = %s AND s.expire_date > %s"
    )
