"""Says whether a session has passed the second factor; django-otp adds that to the user at run time."""

from django.http import HttpRequest


def is_verified(request: HttpRequest) -> bool:
    """True when the request's user is signed in and has used a confirmed factor in this session."""
    check = getattr(request.user, "is_verified", None)
    return bool(request.user.is_authenticated and check is not None and check())
