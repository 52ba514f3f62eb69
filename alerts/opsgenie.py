"""Closes Opsgenie alerts by our own alias, which works across restarts and workers.

Apprise stores the ids of requests in a local file, so that its "close" would find nothing after a
restart, and still report success.
https://docs.opsgenie.com/docs/alert-api (create alert: alias; close alert: identifierType)
"""

import hashlib
import sys
from typing import Any
from urllib.parse import quote


def opsgenie_plugin(plugin: Any) -> Any:
    """Return the plugin; if it is Opsgenie's, change it to close by alias."""
    if type(plugin).__name__ == "NotifyOpsgenie":
        plugin.send = _Send(plugin, plugin.send)
    return plugin


class _Send:
    """Opens with an alias, and closes by it."""

    def __init__(self, plugin: Any, original: Any) -> None:
        self.plugin, self.original = plugin, original

    def __call__(self, body: str, title: str = "", **kwargs: Any) -> bool:
        plugin = self.plugin
        alias = plugin.alias or getattr(plugin, "portal_key", "") or _digest(title)
        if kwargs["notify_type"].value != "success":
            plugin.alias = alias
            return bool(self.original(body=body, title=title, **kwargs))
        module: Any = sys.modules[type(plugin).__module__]
        url = f"{module.OPSGENIE_API_LOOKUP[plugin.region_name]}/{quote(alias, safe='')}/close"
        payload = {"source": plugin.app_desc, "note": f"{title}\n{body}"[:25_000]}
        done, _request = plugin._fetch(
            module.requests.post, url, payload, {"identifierType": "alias"}
        )
        return bool(done)


def _digest(title: str) -> str:
    return hashlib.sha256(title.encode("utf-8", "replace")).hexdigest()[:32]
