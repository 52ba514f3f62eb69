"""Configures unfold: name, navigation, colours, our styles and scripts. Imported by the settings."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static


def _asset(path: str) -> Callable[[HttpRequest], str]:
    """Return a callable, because the hashed static URL is not known while the settings are read."""
    return lambda _request: static(path)


def _shades(*values: str) -> dict[str, str]:
    names = ("50", "100", "200", "300", "400", "500", "600", "700", "800", "900", "950")
    return dict(zip(names, values, strict=True))


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "DevOps Portal",
    "SITE_HEADER": "DevOps Portal",
    "SITE_URL": None,
    "SITE_ICON": _asset("portal/logo.svg"),
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": _asset("portal/logo.svg")},
    ],
    "SHOW_HISTORY": False,  # the audit trail replaces Django's history
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [_asset("vendor/uplot/uPlot.min.css"), _asset("portal/portal.css")],
    "SCRIPTS": [_asset("portal/alpine-csp.js"), _asset("portal/icons.js")],
    "DASHBOARD_CALLBACK": "portal.dashboard_page.context",
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "navigation": "portal.navigation.sidebar",
    },
    "BORDER_RADIUS": "8px",
    "COLORS": {
        "primary": _shades(
            "oklch(97% .014 254.6)",
            "oklch(93.2% .032 255.6)",
            "oklch(88.2% .059 254.1)",
            "oklch(80.9% .105 251.8)",
            "oklch(70.7% .165 254.6)",
            "oklch(62.3% .188 259.8)",
            "oklch(54.6% .215 262.9)",
            "oklch(48.8% .217 264.4)",
            "oklch(42.4% .181 265.6)",
            "oklch(37.9% .138 265.5)",
            "oklch(28.2% .087 267.9)",
        ),
    },
}
