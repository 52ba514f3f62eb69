"""Creates managed channels from `NOTIFY_URLS`, and a route for alerts that no other route has matched."""

import logging
from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.db import transaction

from alerts import channels
from alerts.notification_models import Channel, Route

log = logging.getLogger(__name__)
ROUTE = "notify"
LAST = 1000


@transaction.atomic
def synchronise(urls: Sequence[str]) -> list[str]:
    """Create or update the managed channels and their route; return the names of those that changed.

    A channel whose URL was removed is disabled, never deleted, because its log refers to it.
    """
    wanted = {f"notify-{number}": url for number, url in enumerate(urls, 1)}
    changed = [name for name, url in wanted.items() if _keep(name, url)]
    for channel in Channel.objects.filter(managed=True, enabled=True).exclude(name__in=wanted):
        channel.enabled = False
        channels.save(channel, actor=None)
        changed.append(channel.name)
    _keep_route(bool(urls))
    return changed


def _keep(name: str, url: str) -> bool:
    """Create or update one channel; True when something changed."""
    channel = Channel.objects.filter(name=name).first() or Channel(name=name, managed=True)
    if not channel.managed:
        log.warning(
            "NOTIFY_URLS would set the channel %s, which was created by hand. Rename that channel.",
            name,
        )
        return False
    if channel.url == url and channel.enabled:
        return False
    channel.enabled = True
    try:
        channels.save(channel, url=url, actor=None)
    except ValidationError as error:
        # An invalid value must not stop the portal: the channel's page says what is wrong.
        channel.enabled, channel.url = False, ""
        channel.error = f"Its URL in NOTIFY_URLS cannot be used. {' '.join(error.messages)}"
        channel.save()
        log.warning("Channel %s: %s", name, channel.error)
    return True


def _keep_route(wanted: bool) -> None:
    found = Route.objects.filter(name=ROUTE, managed=True)
    if not wanted:
        found.filter(enabled=True).update(enabled=False)
        return
    defaults = {"managed": True, "position": LAST, "group_by": ["alertname", "service"]}
    route, _created = Route.objects.get_or_create(name=ROUTE, defaults=defaults)
    found.filter(enabled=False).update(enabled=True)
    if route.managed:
        route.channels.set(Channel.objects.filter(managed=True, enabled=True))
