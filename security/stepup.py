"""Requires a fresh code for dangerous actions, even in a verified session: step-up (ASVS 7.5).

`require_recent_auth` wraps function views; `StepUpMixin` is for class-based views and
`StepUpAdminMixin` for model admins. The page that asks for the code is `security:step_up`.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from security import sessions

MINUTES = 10
# A form is shown only if at least this much of the window is left to fill it in.
FORM_MINUTES = 5
ASK_AGAIN = "A fresh code was required first, so nothing was saved. Please repeat the action."

View = Callable[..., HttpResponse]


def is_recent(request: HttpRequest, minutes: float = MINUTES) -> bool:
    """True when a second factor was verified in this session within the last `minutes`."""
    age = sessions.seconds_since_verified(request)
    return age is not None and age < minutes * 60


def challenge(request: HttpRequest, *, back: str = "") -> HttpResponseRedirect:
    """Return the redirect to the step-up page, which afterwards redirects to the requested URL.

    A view that accepts only POST passes `back`, the page with its button, to return to instead.
    """
    if request.method not in ("GET", "HEAD"):
        messages.warning(request, ASK_AGAIN)
    target = urlencode({"next": back or request.get_full_path()})
    return HttpResponseRedirect(f"{reverse('security:step_up')}?{target}")


def require_recent_auth(minutes: float = MINUTES) -> Callable[[View], View]:
    """Decorate a view so that it runs only within `minutes` after a second factor was verified."""

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not is_recent(request, minutes):
                return challenge(request)
            return view(request, *args, **kwargs)

        return checked

    return decorate


class StepUpMixin:
    """For class-based views: every method needs a recently verified factor."""

    step_up_minutes: float = MINUTES

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not is_recent(request, self.step_up_minutes):
            return challenge(request)
        answer: HttpResponseBase = super().dispatch(request, *args, **kwargs)  # type: ignore[misc]
        return answer


class StepUpAdminMixin:
    """For model admins: adding, changing, deleting and actions need a recently verified factor; lists do not.

    A form that the account may only view is shown without one.
    """

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        admin: Any = self
        writes = admin.has_add_permission if object_id is None else admin.has_change_permission
        minutes = FORM_MINUTES if request.method in ("GET", "HEAD") else MINUTES
        if writes(request) and not is_recent(request, minutes):
            return challenge(request)
        answer: HttpResponseBase = super().changeform_view(  # type: ignore[misc]
            request, object_id, *args, **kwargs
        )
        return answer

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not is_recent(request):
            return challenge(request)
        answer: HttpResponseBase = super().delete_view(request, *args, **kwargs)  # type: ignore[misc]
        return answer

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST" and not is_recent(request):
            return challenge(request)
        answer: HttpResponseBase = super().changelist_view(  # type: ignore[misc]
            request, *args, **kwargs
        )
        return answer
