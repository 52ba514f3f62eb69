"""Model for sessions with their user and device, so that one query reads session, user and factor."""

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.utils.module_loading import import_string

from security.models.credentials import TotpDevice


class Session(AbstractBaseSession):
    """A session; `user` and `device` repeat what is in its data, for the join and for ending a user's sessions.

    They have no constraints: Django would take a failed insert for a key collision, and retry for ever.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        related_name="+",
        db_constraint=False,
    )
    device = models.ForeignKey(
        TotpDevice,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )

    class Meta:
        default_permissions = ()

    @classmethod
    def get_session_store_class(cls) -> type[SessionBase]:
        store: type[SessionBase] = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
        return store
