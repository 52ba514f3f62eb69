"""Takes user and factor of a request from the session's row, which saves their queries.

If anything does not match, Django and django-otp do their usual work: they query the database, and end
the session if necessary.
"""

from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from django.utils.functional import SimpleLazyObject
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp.middleware import OTPMiddleware

from security.models import Session


class UserMiddleware(AuthenticationMiddleware):
    """Django's middleware, with the user from the session's row."""

    def process_request(self, request: Any) -> None:
        super().process_request(request)
        request.user = SimpleLazyObject(partial(_user_of, request))


class FactorMiddleware(OTPMiddleware):
    """django-otp's middleware, with the authenticator app from the session's row."""

    def _verify_user_sync(self, request: HttpRequest, user: Any) -> Any:
        row = _row_of(request) if user.is_authenticated else None
        device = row.device if row else None
        if device is None or request.session.get(DEVICE_ID_SESSION_KEY) != device.persistent_id:
            return super()._verify_user_sync(request, user)
        self._init_user_fields(user)
        user.otp_device = self._finalize_device(request, user, device)
        return user


def _user_of(request: Any) -> User | AnonymousUser:
    if not hasattr(request, "_cached_user"):  # Django's own name for the cached user
        request._cached_user = _read_with_session(request) or auth.get_user(request)
    user: User | AnonymousUser = request._cached_user
    return user


def _read_with_session(request: HttpRequest) -> User | None:
    """Return the user of the session's row if Django would accept the same one."""
    session = request.session
    proof = session.get(auth.HASH_SESSION_KEY, "")
    row = _row_of(request)
    user = row.user if row else None
    agrees = (
        user is not None
        and user.is_active
        and session.get(auth.SESSION_KEY) == str(user.pk)
        and session.get(auth.BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS
        and constant_time_compare(proof, user.get_session_auth_hash())
    )
    return user if agrees else None


def _row_of(request: HttpRequest) -> Session | None:
    row: Session | None = getattr(request.session, "row", None)
    return row
