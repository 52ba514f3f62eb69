"""Buttons of the admin: what sends or writes takes a POST with a CSRF token, never a link."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ClassVar

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed
from django.template.loader import render_to_string
from django.urls import URLPattern, path

Act = Callable[..., HttpResponseBase]
REFUSED = (
    "This address performs an action, so it cannot be opened as a link. Go back to the page and press the"
    " button there."
)


def post_only(view: Act, *, back: str = "../") -> Act:
    """Wrap a view so that anything but POST is answered with 405 and the way `back`.

    People meet it after signing in again: the sign-in returns to the address a button had posted to.
    """

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST":
            return view(request, *args, **kwargs)
        page = {"title": "Nothing was done", "sentence": REFUSED, "status": 405, "back": back}
        return HttpResponseNotAllowed(["POST"], render_to_string("portal/failure.html", page))

    return checked


class ActsMixin:
    """For model admins: `acts` are the buttons of one object's page, by the word in the address.

    Each is a view of (request, pk), named `app_model_word`, which asks for permission itself.
    """

    acts: ClassVar[Mapping[str, Act]] = {}

    def get_urls(self) -> list[URLPattern]:
        model_admin: ModelAdmin[Any] = self  # type: ignore[assignment]
        wrap, opts = model_admin.admin_site.admin_view, model_admin.model._meta
        own = [
            path(f"<int:pk>/{word}/", wrap(post_only(view)), name=f"{opts.app_label}_{opts.model_name}_{word}")
            for word, view in self.acts.items()
        ]  # fmt: skip
        return [*own, *super().get_urls()]  # type: ignore[misc]
