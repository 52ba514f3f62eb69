"""How unfold is set up: name, navigation and colours."""

from typing import Any

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "DevOps Portal",
    "SITE_HEADER": "DevOps Portal",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
}
