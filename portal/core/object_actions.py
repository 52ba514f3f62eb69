"""Adds action buttons to the admin page of an object; they send a POST with a CSRF token and are never links."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ClassVar

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed
from django.template.loader import render_to_string
from django.urls import URLPattern, path

View = Callable[..., HttpResponseBase]
REFUSED = (
    "This address performs an action, so it cannot be opened as a link. Go back to the page and press the"
    " button there."
)


def post_only(view: View, *, back: str = "../") -> View:
    """Wrap a view so that methods other than POST get a 405 page with a link `back`.

    Users see that page after signing in again, which redirects them by GET to the URL of the button.
    """

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST":
            return view(request, *args, **kwargs)
        page = {"title": "Nothing was done", "sentence": REFUSED, "status": 405, "back": back}
        return HttpResponseNotAllowed(["POST"], render_to_string("portal/failure.html", page))

    return checked


class ObjectActionsMixin:
    """For model admins: `object_actions` maps the last part of each button's URL to its view.

    A view takes (request, pk) and checks permissions itself. Its URL name is `app_model_word`.
    """

    object_actions: ClassVar[Mapping[str, View]] = {}

    def get_urls(self) -> list[URLPattern]:
        model_admin: ModelAdmin[Any] = self  # type: ignore[assignment]
        wrap, opts = model_admin.admin_site.admin_view, model_admin.model._meta
        own = [
            path(f"<int:pk>/{word}/", wrap(post_only(view)), name=f"{opts.app_label}_{opts.model_name}_{word}")
            for word, view in self.object_actions.items()
        ]  # fmt: skip
        return [*own, *super().get_urls()]  # type: ignore[misc]
