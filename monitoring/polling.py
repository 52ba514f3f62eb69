"""Maps each kind of upstream to the function that polls it."""

from django.core.exceptions import ObjectDoesNotExist

from alerts import polling as alertmanager
from monitoring import scrape
from monitoring.errors import sync
from monitoring.logs import polling as logs
from portal.core import polling
from portal.core.models import Upstream
from portal.core.polling import Outcome, Poller

POLLERS: dict[str, Poller] = {
    Upstream.Kind.PROMETHEUS: scrape.poll,
    Upstream.Kind.ALERTMANAGER: alertmanager.poll,
    Upstream.Kind.SENTRY: sync.poll,
    Upstream.Kind.ELASTICSEARCH: logs.poll,
}


def poll(upstream_id: int) -> Outcome:
    """Poll one upstream now; skip it if the row was deleted meanwhile."""
    try:
        kind = Upstream.objects.values_list("kind", flat=True).get(pk=upstream_id)
    except ObjectDoesNotExist:
        return Outcome(name=str(upstream_id), skipped=True)
    if kind not in POLLERS:  # another app of the portal polls this kind
        return Outcome(name=str(upstream_id), skipped=True)
    return polling.run(upstream_id, POLLERS[kind])
