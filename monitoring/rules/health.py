"""Stores the state of our rules as reported by a poll of Prometheus, if it has changed."""

from collections.abc import Iterable

from django.db.models import Q

from monitoring.models import Rule
from monitoring.panels import default_prometheus
from monitoring.payloads import AlertingRule
from monitoring.rules.loaded import Known, changes
from portal.core import sanitize
from portal.core.models import Upstream


def note(upstream: Upstream, seen: Iterable[AlertingRule]) -> int:
    """Update the state of the rules that `upstream` evaluates to `seen`; return what changed."""
    first = default_prometheus()
    mine = Q(upstream=upstream)
    if first is not None and first.pk == upstream.pk:
        mine |= Q(upstream=None)
    columns = ("id", "name", "severity", "loaded_state", "loaded_error")
    rows = [Known(*row) for row in Rule.objects.filter(mine).values_list(*columns)]
    found = changes(rows, seen)
    for change in found:
        Rule.objects.filter(pk=change.id).update(
            loaded_state=change.state, loaded_error=sanitize.text(change.error, 1000)
        )
    return len(found)
