"""Which service an open alert belongs to, when the catalogue changes after it began to fire."""

import threading
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection

from alerts import raised, service_assignment
from alerts.models import Alert
from alerts.tasks import tie_alerts
from portal.core.catalogue import Catalogue
from tests.factories import make_alert, make_service, make_upstream
from tests.locks import somebody_waits
from tests.stack import until

pytestmark = pytest.mark.django_db


def services() -> dict[str, str | None]:
    """Return the service of each alert, by its name."""
    return dict(Alert.objects.order_by("pk").values_list("alertname", "service__slug"))


def test_what_fires_follows_the_catalogue_and_what_is_over_stays() -> None:
    make_alert(alertname="Disk", labels={"alertname": "Disk", "job": "db"})
    make_alert(alertname="Heat", labels={"alertname": "Heat", "zone": "north"}, state="suppressed")
    make_alert(alertname="Past", labels={"alertname": "Past", "job": "db"}, state="resolved")
    tie_alerts()
    assert services() == {"Disk": None, "Heat": None, "Past": None}
    make_service(slug="db", matchers=[])
    north = make_service(slug="north", matchers=['zone="north"'])
    tie_alerts()
    assert services() == {"Disk": "db", "Heat": "north", "Past": None}
    north.matchers = ['alertname="Disk"']
    north.save()
    assert service_assignment.reassign_if_changed() == 2
    assert services() == {"Disk": "north", "Heat": None, "Past": None}
    north.delete()
    assert service_assignment.reassign_if_changed() == 1
    assert services() == {"Disk": "db", "Heat": None, "Past": None}


def test_a_catalogue_that_has_not_changed_costs_one_statement(
    django_assert_num_queries: Any,
) -> None:
    alert = make_alert(service=make_service())  # which its labels do not say
    assert service_assignment.reassign_if_changed() == 1
    Alert.objects.update(service=alert.service)
    with django_assert_num_queries(1):
        assert service_assignment.reassign_if_changed() == 0
    cache.clear()
    assert service_assignment.reassign_if_changed() == 1


def test_an_alert_of_the_portal_keeps_the_service_it_was_raised_for() -> None:
    service = make_service(slug="shop", matchers=[])
    raised.raise_alert(alertname="CheckFailing", labels={"check": "shop"}, service=service)
    make_service(slug="other", matchers=['check="shop"'])
    assert service_assignment.reassign_if_changed() == 0
    assert services() == {"CheckFailing": "shop"}


@pytest.mark.django_db(transaction=True)
def test_a_poll_that_still_goes_by_the_old_catalogue_is_waited_for(another_connection: Any) -> None:
    alert = make_alert()
    another_connection.execute("BEGIN")  # a poll that has read the catalogue, and is about to write
    another_connection.execute("SELECT FROM core_upstream FOR UPDATE")
    make_service(slug="db", matchers=[])
    done: list[int] = []

    def reassign() -> None:
        done.append(service_assignment.reassign_if_changed())
        connection.close()

    thread = threading.Thread(target=reassign)
    thread.start()
    until(somebody_waits, "nobody waits")
    labels = '{"alertname": "Disk", "job": "db"}'
    another_connection.execute("UPDATE alerts_alert SET labels = %s::jsonb", [labels])
    another_connection.execute("COMMIT")
    thread.join(30)
    assert (done, services()) == ([1], {alert.alertname: "db"})


@pytest.mark.django_db(transaction=True)
def test_polls_do_not_wait_while_alerts_are_held_against_the_catalogue(
    another_connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_alert(labels={"alertname": "Disk", "job": "db"})
    make_service(slug="db", matchers=[])
    load, held = Catalogue.load, []

    def noted() -> Catalogue:
        free = another_connection.execute("SELECT FROM core_upstream FOR UPDATE SKIP LOCKED")
        held.append(free.rowcount == 0)
        return load()

    monkeypatch.setattr(Catalogue, "load", noted)
    assert service_assignment.reassign_if_changed() == 1
    assert held == [False, True]  # the few that are corrected are looked at once more
    cache.clear()
    assert service_assignment.reassign_if_changed() == 0
    assert held == [False, True, False]


def test_many_alerts_are_corrected_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_assignment, "BATCH", 2)
    upstream = make_upstream()
    for number in range(5):
        name = f"Disk{number}"
        make_alert(upstream=upstream, alertname=name, labels={"alertname": name, "job": "db"})
    make_service(slug="db", matchers=[])
    assert service_assignment.reassign_if_changed() == 5
    assert set(services().values()) == {"db"}


@pytest.mark.django_db(transaction=True)
def test_one_worker_ties_at_a_time_and_the_others_have_other_work(another_connection: Any) -> None:
    make_alert(alertname="Disk", labels={"alertname": "Disk", "job": "db"})
    make_service(slug="db", matchers=[])
    another_connection.execute("SELECT pg_advisory_lock(%s)", [service_assignment.LOCK])
    assert (service_assignment.reassign_if_changed(), services()) == (0, {"Disk": None})
    another_connection.execute("SELECT pg_advisory_unlock(%s)", [service_assignment.LOCK])
    assert (service_assignment.reassign_if_changed(), services()) == (1, {"Disk": "db"})
