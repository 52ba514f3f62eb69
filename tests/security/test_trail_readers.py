"""Readers of the trail that stand still: their months stay, the desk and the doctor say so, and it ends."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alerts.models import Alert
from audit import partitions, retention, stream
from audit.models import AuditEntry
from portal.doctor import facts
from security import detection, trail_readers
from security.models import DetectorCursor, SiemDestination
from security.siem import destinations
from security.tasks import watch_trail_readers
from tests.audit.builders import make_entries
from tests.security.builders import make_enrolled, signed_in

pytestmark = pytest.mark.django_db
NOWHERE = "syslog+tcp://127.0.0.1:9"


def make_destination(name: str = "splunk", **over: Any) -> SiemDestination:
    made = destinations.save(SiemDestination(name=name, url=NOWHERE))
    for field, value in over.items():
        setattr(made, field, value)
    made.save()
    return made


def make_failing(since: datetime, **over: Any) -> SiemDestination:
    return make_destination(
        failures=3, failing_since=since, error="Nothing is listening there.", **over
    )


def open_alerts(alertname: str) -> list[Alert]:
    return list(Alert.objects.open().filter(alertname=alertname).order_by("id"))


def test_a_destination_that_fails_for_a_quarter_of_an_hour_is_an_alert_until_it_recovers() -> None:
    now = timezone.now()
    row = make_failing(now - timedelta(minutes=14))
    trail_readers.watch(at=now)
    assert open_alerts(trail_readers.FAILING) == []
    for minutes in (2, 3):
        trail_readers.watch(at=now + timedelta(minutes=minutes))
    (alert,) = open_alerts(trail_readers.FAILING)
    assert alert.labels["destination"] == "splunk"
    assert "Nothing is listening there." in alert.annotations["description"]
    SiemDestination.objects.filter(pk=row.pk).update(failures=0, failing_since=None, error="")
    watch_trail_readers()
    assert open_alerts(trail_readers.FAILING) == []


@pytest.mark.parametrize("end", ["delete", "disable", "rename"])
def test_the_alert_ends_with_its_destination(end: str) -> None:
    row = make_failing(timezone.now() - timedelta(hours=1))
    watch_trail_readers()
    changes: dict[str, Any] = {"disable": {"enabled": False}, "rename": {"name": "other"}}
    if end == "delete":
        row.delete()
    else:
        SiemDestination.objects.filter(pk=row.pk).update(**changes[end])
    watch_trail_readers()
    names = [alert.labels["destination"] for alert in open_alerts(trail_readers.FAILING)]
    assert names == (["other"] if end == "rename" else [])


def test_one_that_only_lags_is_an_alert_as_well() -> None:
    make_destination(txid=0)  # it has had nothing
    make_entries(5, until=timezone.now() - timedelta(minutes=20), days=1)
    trail_readers.watch(at=timezone.now() + timedelta(minutes=16))
    (alert,) = open_alerts(trail_readers.FAILING)
    assert "more than 15 minutes behind" in alert.annotations["description"]


def test_months_stay_for_a_destination_and_desk_and_doctor_say_for_which(settings: Any) -> None:
    settings.AUDIT_RETENTION_MONTHS = 2
    DetectorCursor.objects.all().delete()  # it would hold them too: it reads what is committed
    now = timezone.now()
    partitions.ensure(at=now, months_back=4)
    row = make_destination()
    make_entries(50, until=now - timedelta(days=100), days=1)
    assert [month.rows for month in retention.prune(at=now, months=2).kept] == [50]
    watch_trail_readers()
    (alert,) = open_alerts(trail_readers.KEPT)
    assert alert.labels["reader"] == "the SIEM destination splunk"
    (said,) = [finding for finding in facts.trail() if finding.thing == "retention"]
    assert (said.level, "the SIEM destination splunk has not read" in said.text) == ("fail", True)
    SiemDestination.objects.filter(pk=row.pk).update(enabled=False)
    assert retention.prune(at=now, months=2).kept == []
    watch_trail_readers()
    assert open_alerts(trail_readers.KEPT) == []
    assert not AuditEntry.objects.filter(recorded_at__lt=now - timedelta(days=99)).exists()


def test_the_rules_are_asked_too_and_another_clusters_cursor_is_not() -> None:
    detection.run()
    make_destination("foreign", cluster="another")
    assert [reader.name for reader in trail_readers.find()] == ["the detection rules"]


@pytest.mark.parametrize("url", ["/admin/security/siemdestination/", "/api/v1/siem-destinations/"])
def test_a_list_of_destinations_takes_the_same_statements_however_many(url: str) -> None:
    client = signed_in(make_enrolled())

    def statements() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert client.get(url).status_code == 200
        return len(seen)

    make_destination()
    few = statements()
    for number in range(12):
        make_destination(f"more-{number}", txid=stream.horizon().txid)
    assert statements() == few


def test_the_doctor_names_a_destination_that_fails() -> None:
    make_failing(timezone.now())
    (said,) = [finding for finding in facts.trail() if finding.thing == "siem splunk"]
    assert said.text.startswith("It does not accept the audit trail: Nothing is listening there.")
